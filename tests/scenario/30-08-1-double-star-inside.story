# spec 30 §8.1, item 40: ** between labels is zero or more labels
system 192.0.2.53
resource app dns a.**.web.example.com
app asks A a.web.example.com
=> app hears * | @ 1 A 100.96.0.1 *
app asks A a.b.c.web.example.com
=> app hears * | @ 1 A 100.96.0.5 *
app asks A b.web.example.com
=> upstream 192.0.2.53 udp gets rd A b.web.example.com
