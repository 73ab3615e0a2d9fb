# spec 30 §10.2, item 52: new sentinels avoid those in use, so with a single server they alternate; the old one is gone
system 192.0.2.53
resource app dns app.example.com
=> sentinels 100.100.111.1=192.0.2.53
system 192.0.2.54
=> sentinels 100.100.111.2=192.0.2.54
app asks A app.example.com at 100.100.111.1
=> nothing
app asks A app.example.com at 100.100.111.2
=> app hears *
system 192.0.2.55
=> sentinels 100.100.111.1=192.0.2.55
