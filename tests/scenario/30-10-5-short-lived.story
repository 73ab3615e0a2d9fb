# spec 30 §10.5, item 59: a TTL below 5 s is not kept, 5 s is
system 192.0.2.53
app asks A a.example.org
=> upstream *
upstream 192.0.2.53 answers NOERROR | @ 300 A 198.51.100.1 | @ 4 A 198.51.100.2
=> app hears *
app asks A a.example.org
=> upstream *
app asks A b.example.org
=> upstream *
upstream 192.0.2.53 answers NOERROR | @ 5 A 198.51.100.1
=> app hears *
app asks A b.example.org
=> app hears 1 NOERROR * | @ 5 A 198.51.100.1
