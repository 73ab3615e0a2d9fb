# spec 30 §5, item 27: the site is offline: the packet is forgotten, the user learns of it, the name is still answered
system 192.0.2.53
resource app dns *.example.com
app asks A app.example.com
=> app hears *
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow app
portal fails app offline
=> user learns that the site of app is offline
app asks A app.example.com
=> app hears 1 NOERROR * | @ 1 A 100.96.0.1 *
