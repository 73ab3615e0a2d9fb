# spec 30 §10.5, item 58: kept for the smallest TTL of the records of the type asked for
system 192.0.2.53
app asks A www.example.org
=> upstream *
upstream 192.0.2.53 answers NOERROR | @ 60 A 198.51.100.1 | @ 10 A 198.51.100.2
=> app hears *
wait 9s
app asks A www.example.org
=> app hears 1 NOERROR * | @ 51 A 198.51.100.1 | @ 1 A 198.51.100.2
wait 1s
app asks A www.example.org
=> upstream 192.0.2.53 udp gets rd A www.example.org
