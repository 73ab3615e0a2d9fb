# spec 30 §9.2, item 38: a query answered locally has the gateway look again, while traffic goes on
system 192.0.2.53
resource app dns app.example.com
app asks A app.example.com
=> app hears *
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow app
portal creates app
=> gateway gets assigned app app.example.com 100.96.0.1 100.96.0.2 100.96.0.3 100.96.0.4 fd00:2021:1111:8000:: fd00:2021:1111:8000::1 fd00:2021:1111:8000::2 fd00:2021:1111:8000::3
=> gateway resolves app.example.com
site says app.example.com 10.9.0.5
=> client gets status app app.example.com Active
=> lan gets udp 100.64.0.7:1000 > 10.9.0.5:443
app asks HTTPS app.example.com
=> app hears 1 NOERROR qr,rd HTTPS app.example.com
=> gateway gets assigned app app.example.com *
=> gateway resolves app.example.com
app sends udp 1000 > 100.96.0.1:443
=> lan gets udp 100.64.0.7:1000 > 10.9.0.5:443
site says app.example.com 10.9.0.6
=> client gets status app app.example.com Active
app sends udp 1001 > 100.96.0.1:443
=> lan gets udp 100.64.0.7:1001 > 10.9.0.6:443
