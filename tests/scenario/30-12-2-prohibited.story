# spec 30 §12.2, item 60: the gateway says prohibited: the application hears it, and the flow is asked for anew
system 192.0.2.53
resource net cidr 10.8.0.0/16
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
app sends udp 1000 > 10.8.0.1:443
=> portal gets create_flow net gateway
portal creates net
=> lan gets udp 100.64.0.7:1000 > 10.8.0.1:443
portal revokes app of client
wait 3s
app sends udp 1000 > 100.96.0.1:443
=> app gets icmp 3/13 *
=> portal gets create_flow app gateway
