# spec 30 §8.2, item 42: of equal patterns the greater resource id wins
system 192.0.2.53
resource first dns app.example.com
resource second dns app.example.com
app asks A app.example.com
=> app hears *
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow second
