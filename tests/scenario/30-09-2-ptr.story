# spec 30 §9.2, item 48: PTR of an assigned proxy address, of both families, is its name with TTL 1
system 192.0.2.53
resource app dns *.example.com
app asks A app.example.com
=> app hears *
app asks PTR 3.0.96.100.in-addr.arpa
=> app hears 1 NOERROR qr,rd PTR 3.0.96.100.in-addr.arpa | @ 1 PTR app.example.com
app asks PTR 3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.1.1.1.1.1.2.0.2.0.0.d.f.ip6.arpa
=> app hears 1 NOERROR * | @ 1 PTR app.example.com
