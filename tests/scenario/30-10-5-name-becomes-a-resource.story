# spec 30 §10.5, item 58: a cached name that becomes a resource is answered with proxy addresses at once
system 192.0.2.53
app asks A app.example.com
=> upstream *
upstream 192.0.2.53 answers NOERROR | @ 3600 A 198.51.100.1
=> app hears *
resource app dns app.example.com
app asks A app.example.com
=> app hears 1 NOERROR qr,rd A app.example.com | @ 1 A 100.96.0.1 *
