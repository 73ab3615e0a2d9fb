# spec 30 §11, item 57: DNS over TCP on every sentinel, of both families
system 192.0.2.53 2001:db8::53
resource app dns app.example.com
app asks A app.example.com tcp
=> app hears tcp 1 NOERROR qr,rd A app.example.com | @ 1 A 100.96.0.1 *
app asks A app.example.com tcp at fd00:2021:1111:8000:100:100:111:0
=> app hears tcp 1 NOERROR qr,rd A app.example.com | @ 1 A 100.96.0.1 *
