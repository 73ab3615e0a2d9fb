# spec 30 §9.3, item 45: one matching resource that excludes the family is enough
system 192.0.2.53
resource wide dns *.example.com
resource narrow dns app.example.com ipv6
app asks A app.example.com
=> app hears 1 NOERROR qr,rd A app.example.com
app asks A db.example.com
=> app hears 1 NOERROR qr,rd A db.example.com | @ 1 A *
resource narrow4 dns app.example.com ipv4
app asks AAAA app.example.com
=> app hears 1 NOERROR qr,rd AAAA app.example.com
