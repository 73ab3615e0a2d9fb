# spec 30 §10.4, item 54: the same question of two askers is one exchange, each has its answer
system 192.0.2.53
app asks A www.example.org id 5
=> upstream 192.0.2.53 udp gets rd A www.example.org
app asks A www.example.org id 6
=> nothing
upstream 192.0.2.53 answers NOERROR | @ 300 A 198.51.100.1
=> app hears 6 NOERROR *
=> app hears 5 NOERROR *
