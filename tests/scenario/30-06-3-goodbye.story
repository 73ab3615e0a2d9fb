# spec 30 §6.3, item 29: a gateway says goodbye: with the next packet a new flow, and its names are announced again
system 192.0.2.53
resource app dns *.example.com
other gateway far
app asks A app.example.com
=> app hears *
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow app
portal creates app by far
=> far gets assigned *
far sends status app app.example.com Active
=> far gets udp *
far sends control 2
=> nothing
wait 3s
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow app far
portal creates app by far
=> far gets assigned app app.example.com 100.96.0.1 *
far sends status app app.example.com Active
=> far gets udp 100.64.0.7:1000 > 100.96.0.1:443
