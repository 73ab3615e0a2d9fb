# spec 30 §10.5, item 59: an alias without a record of the type asked for is not kept
system 192.0.2.53
app asks A www.example.org
=> upstream *
upstream 192.0.2.53 answers NOERROR | @ 300 CNAME web.example.org
=> app hears *
app asks A www.example.org
=> upstream 192.0.2.53 udp gets rd A www.example.org
