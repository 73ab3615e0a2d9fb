# spec 30 §9.2, item 48: an address stays its name's when the resource is gone
system 192.0.2.53
resource app dns app.example.com
app asks A app.example.com
=> app hears *
delete app
app asks PTR 1.0.96.100.in-addr.arpa
=> app hears 1 NOERROR * | @ 1 PTR app.example.com
app asks A app.example.com
=> upstream 192.0.2.53 udp gets rd A app.example.com
app sends udp 1000 > 100.96.0.1:443
=> nothing
