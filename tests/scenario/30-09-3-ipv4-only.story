# spec 30 §9.3, item 45: a resource of IPv4 only has no AAAA, but its name exists
system 192.0.2.53
resource app dns app.example.com ipv4
app asks AAAA app.example.com
=> app hears 1 NOERROR qr,rd AAAA app.example.com
app asks A app.example.com
=> app hears 1 NOERROR qr,rd A app.example.com | @ 1 A 100.96.0.1 *
