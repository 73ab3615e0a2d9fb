# spec 30 §8.1, item 40: **.x is x and every name below it
system 192.0.2.53
resource app dns **.example.com
app asks A example.com
=> app hears * | @ 1 A 100.96.0.1 *
app asks A a.example.com
=> app hears * | @ 1 A 100.96.0.5 *
app asks A c.b.a.example.com
=> app hears * | @ 1 A 100.96.0.9 *
app asks A anexample.com
=> upstream 192.0.2.53 udp gets rd A anexample.com
