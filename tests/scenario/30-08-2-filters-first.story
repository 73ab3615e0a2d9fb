# spec 30 §8.2, item 16: a resource whose filters refuse the packet is no candidate, however specific its pattern
system 192.0.2.53
resource exact dns app.example.com filters tcp/443
resource wide dns *.example.com
app asks A app.example.com
=> app hears *
app sends udp 1000 > 100.96.0.1:53
=> portal gets create_flow wide
app sends tcp 1000 > 100.96.0.1:443 syn
=> portal gets create_flow exact
