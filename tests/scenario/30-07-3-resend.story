# spec 30 §7.3, item 37: unconfirmed, the assignment is repeated with traffic, once in 2 s
system 192.0.2.53
resource app dns *.example.com
other gateway far
app asks A app.example.com
=> app hears *
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow app
portal creates app by far
=> far gets assigned app app.example.com 100.96.0.1 *
app sends udp 1001 > 100.96.0.1:443
=> nothing
wait 2s
=> nothing
app sends udp 1002 > 100.96.0.1:443
=> far gets assigned app app.example.com 100.96.0.1 *
far sends status app app.example.com Active
=> far gets udp 100.64.0.7:1000 > 100.96.0.1:443
=> far gets udp 100.64.0.7:1001 > 100.96.0.1:443
=> far gets udp 100.64.0.7:1002 > 100.96.0.1:443
