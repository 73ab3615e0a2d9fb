# spec 30 §5, item 23: flow_created of what was not asked for is ignored
system 192.0.2.53
resource app dns app.example.com
other gateway far
app asks A app.example.com
=> app hears *
portal creates app by far
=> nothing
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow app
