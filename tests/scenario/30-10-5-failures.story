# spec 30 §10.5, item 59: failures, empty answers and names that do not exist are not kept
system 192.0.2.53
app asks A a.example.org
=> upstream *
upstream 192.0.2.53 answers NXDOMAIN | authority example.org 900 SOA 900
=> app hears *
app asks A a.example.org
=> upstream 192.0.2.53 udp gets rd A a.example.org
upstream 192.0.2.53 answers NOERROR | authority example.org 900 SOA 900
=> app hears *
app asks A a.example.org
=> upstream 192.0.2.53 udp gets rd A a.example.org
upstream 192.0.2.53 answers SERVFAIL | @ 900 A 198.51.100.1
=> app hears *
app asks A a.example.org
=> upstream 192.0.2.53 udp gets rd A a.example.org
