# spec 30 §10.5, item 58: adding or removing any resource empties the cache
system 192.0.2.53
app asks A www.example.org
=> upstream *
upstream 192.0.2.53 answers NOERROR | @ 300 A 198.51.100.1
=> app hears *
resource net cidr 10.0.0.0/8
app asks A www.example.org
=> upstream *
upstream 192.0.2.53 answers NOERROR | @ 300 A 198.51.100.1
=> app hears *
delete net
app asks A www.example.org
=> upstream *
