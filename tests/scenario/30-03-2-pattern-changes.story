# spec 30 §3.2, item 7: another pattern is another resource: the name leads nowhere, its flow is gone
system 192.0.2.53
resource app dns app.example.com
app asks A app.example.com
=> app hears *
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow app
portal creates app
=> gateway gets assigned *
=> gateway resolves app.example.com
site says app.example.com 10.9.0.5
=> client gets status *
=> lan gets udp *
resource app dns db.example.com
app sends udp 1000 > 100.96.0.1:443
=> nothing
app asks A app.example.com
=> upstream *
