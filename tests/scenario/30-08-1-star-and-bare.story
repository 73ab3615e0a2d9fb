# spec 30 §8.1, item 40: *.x matches x itself too, and one label below it, not two
system 192.0.2.53
resource app dns *.example.com
app asks A example.com
=> app hears 1 NOERROR qr,rd A example.com | @ 1 A 100.96.0.1 *
app asks A a.example.com
=> app hears 1 NOERROR qr,rd A a.example.com | @ 1 A 100.96.0.5 *
app asks A a.b.example.com
=> upstream 192.0.2.53 udp gets rd A a.b.example.com
