# spec 30 §4.1, item 15: a proxy address is a name's, whatever network covers the range
system 192.0.2.53
resource net cidr 100.96.0.0/11
resource all internet
internet on
resource app dns app.example.com
app asks A app.example.com
=> app hears *
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow app
