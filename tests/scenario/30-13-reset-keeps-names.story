# spec 30 §13, item 61: after roaming the name has its addresses, and its first packet a new flow
system 192.0.2.53
resource app dns *.example.com
app asks A app.example.com
=> app hears *
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow app
portal creates app
=> gateway gets assigned *
=> gateway resolves app.example.com
site says app.example.com 10.9.0.5
=> client gets status *
=> lan gets udp 100.64.0.7:1000 > 10.9.0.5:443
reset
wait 3s
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow app gateway
portal creates app
=> gateway gets assigned app app.example.com 100.96.0.1 *
=> gateway resolves app.example.com
site says app.example.com 10.9.0.5
=> client gets status *
=> lan gets udp 100.64.0.7:1000 > 10.9.0.5:443
lan replies
=> app gets udp 100.96.0.1:443 > 100.64.0.7:1000
