# spec 30 §10.1, item 50: without servers there are no sentinels and no DNS
resource app dns app.example.com
=> sentinels none
app asks A app.example.com
=> nothing
system 192.0.2.53
=> sentinels 100.100.111.1=192.0.2.53
app asks A app.example.com
=> app hears *
system none
=> sentinels none
