# spec 30 §9.2, item 48: PTR of addresses that were not assigned, and of parts of addresses, is forwarded
system 192.0.2.53
resource app dns *.example.com
app asks A app.example.com
=> app hears *
app asks PTR 5.0.96.100.in-addr.arpa
=> upstream 192.0.2.53 udp gets rd PTR 5.0.96.100.in-addr.arpa
app asks PTR 96.100.in-addr.arpa
=> upstream 192.0.2.53 udp gets rd PTR 96.100.in-addr.arpa
app asks PTR 1.2.0.192.in-addr.arpa
=> upstream 192.0.2.53 udp gets rd PTR 1.2.0.192.in-addr.arpa
app asks PTR app.example.com
=> upstream 192.0.2.53 udp gets rd PTR app.example.com
