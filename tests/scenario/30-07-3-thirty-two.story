# spec 30 §7.3, item 36: 32 packets wait for a name, the oldest gives way
system 192.0.2.53
resource app dns *.example.com
other gateway far
app asks A app.example.com
=> app hears *
app sends udp 1 > 100.96.0.1:443
=> portal gets create_flow app
portal creates app by far
=> far gets assigned *
app sends udp 7 > 100.96.0.1:443
repeat 31 app sends udp 100% > 100.96.0.1:443
ignore far gets udp 100.64.0.7:100* > 100.96.0.1:443
far sends status app app.example.com Active
=> far gets udp 100.64.0.7:7 > 100.96.0.1:443
