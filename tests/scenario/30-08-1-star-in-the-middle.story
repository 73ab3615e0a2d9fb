# spec 30 §8.1, item 40: app.*.example.com wants exactly one label there
system 192.0.2.53
resource app dns app.*.example.com
app asks A app.eu.example.com
=> app hears * | @ 1 A 100.96.0.1 *
app asks A app.example.com
=> upstream 192.0.2.53 udp gets rd A app.example.com
app asks A app.a.b.example.com
=> upstream 192.0.2.53 udp gets rd A app.a.b.example.com
