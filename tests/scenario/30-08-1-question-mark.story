# spec 30 §8.1, item 40: ? is exactly one character and never a dot
system 192.0.2.53
resource app dns app?com
resource two dns db?.example.com
app asks A app.com
=> upstream 192.0.2.53 udp gets rd A app.com
app asks A db1.example.com
=> app hears * | @ 1 A 100.96.0.1 *
app asks A db.example.com
=> upstream 192.0.2.53 udp gets rd A db.example.com
app asks A db12.example.com
=> upstream 192.0.2.53 udp gets rd A db12.example.com
