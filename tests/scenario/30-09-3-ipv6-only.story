# spec 30 §9.3, item 45: a resource of IPv6 only has no A, but its name exists
system 192.0.2.53
resource app dns app.example.com ipv6
app asks A app.example.com
=> app hears 1 NOERROR qr,rd A app.example.com
app asks AAAA app.example.com
=> app hears 1 NOERROR qr,rd AAAA app.example.com | @ 1 AAAA fd00:2021:1111:8000:: *
