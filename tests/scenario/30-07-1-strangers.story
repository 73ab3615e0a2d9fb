# spec 30 §7.1, item 34: a status of an unknown name, and events of unknown number, change nothing
system 192.0.2.53
resource app dns *.example.com
other gateway far
app asks A app.example.com
=> app hears *
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow app
portal creates app by far
=> far gets assigned *
far sends status app db.example.com Active
=> nothing
far sends control 7 {}
=> nothing
far sends assigned app app.example.com 100.96.0.1
=> nothing
far sends control 1 {"resource":"00000000-0000-0000-0000-000000000001","domain":"app.example.com","status":"Active"}
=> far gets udp 100.64.0.7:1000 > 100.96.0.1:443
