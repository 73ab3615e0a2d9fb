# spec 30 §10.5, item 58: the TTL of an alias does not bound how long an answer is kept, and stops at 0
system 192.0.2.53
app asks A www.example.org
=> upstream *
upstream 192.0.2.53 answers NOERROR | @ 1 CNAME web.example.org | web.example.org 60 A 198.51.100.1
=> app hears *
wait 10s
app asks A www.example.org
=> app hears 1 NOERROR * | @ 0 CNAME web.example.org | web.example.org 50 A 198.51.100.1
