# spec 30 §10.3, item 53: a DNS resource does not draw a server into the tunnel
interface do53 192.0.2.1
resource app dns **.example.org
app asks A www.example.net
=> upstream 192.0.2.1 udp gets rd A www.example.net
