# spec 30 §5, item 18: a packet that the filters refuse asks for no flow, and is refused here
system 192.0.2.53
resource app dns app.example.com filters tcp/443
app asks A app.example.com
=> app hears *
app sends udp 1000 > 100.96.0.1:443
=> app gets icmp 3/13 100.96.0.1 > 100.64.0.7 about udp 100.64.0.7:1000 > 100.96.0.1:443
app sends echo > 100.96.0.1
=> app gets icmp 3/13 100.96.0.1 > 100.64.0.7 about echo *
app sends tcp 1000 > 100.96.0.1:443 syn
=> portal gets create_flow app
