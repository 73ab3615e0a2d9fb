# spec 30 §5, item 20: equal packets wait once, a repeated SYN replaces the first
system 192.0.2.53
resource app dns app.example.com
other gateway far
app asks A app.example.com
=> app hears *
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow app
app sends udp 1000 > 100.96.0.1:443
app sends tcp 1000 > 100.96.0.1:443 syn
app sends tcp 1000 > 100.96.0.1:443 syn
portal creates app by far
=> far gets assigned *
far sends status app app.example.com Active
=> far gets udp 100.64.0.7:1000 > 100.96.0.1:443
=> far gets tcp 100.64.0.7:1000 > 100.96.0.1:443
