# spec 30 §10.5, item 58: a reset keeps the cache
system 192.0.2.53
app asks A www.example.org
=> upstream *
upstream 192.0.2.53 answers NOERROR | @ 300 A 198.51.100.1
=> app hears *
reset
app asks A www.example.org
=> app hears 1 NOERROR * | @ 300 A 198.51.100.1
