# spec 30 §9.3, item 45: the IP stack of the moment counts, not that of the first query
system 192.0.2.53
resource app dns app.example.com ipv4
app asks A app.example.com
=> app hears * | @ 1 A 100.96.0.1 *
resource app dns app.example.com ipv6
app asks A app.example.com
=> app hears 1 NOERROR qr,rd A app.example.com
app asks AAAA app.example.com
=> app hears * | @ 1 AAAA fd00:2021:1111:8000:: *
resource app dns app.example.com
app asks A app.example.com
=> app hears * | @ 1 A 100.96.0.1 *
