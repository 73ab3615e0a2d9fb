# spec 30 §6.1, item 28: from a proxy address packets come only from the gateway that has the name
system 192.0.2.53
resource app dns app.example.com
resource db dns db.example.com
other gateway far
other gateway near
app asks A app.example.com
=> app hears *
app asks A db.example.com
=> app hears *
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow app
portal creates app by far
=> far gets assigned *
app sends udp 1000 > 100.96.0.5:443
=> portal gets create_flow db *
portal creates db by near
=> near gets assigned *
far sends udp 100.96.0.1:443 > 100.64.0.7:1000
=> app gets udp 100.96.0.1:443 > 100.64.0.7:1000
near sends udp 100.96.0.1:443 > 100.64.0.7:1000
=> nothing
near sends udp 100.96.0.5:443 > 100.64.0.7:1000
=> app gets udp *
