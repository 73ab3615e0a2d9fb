# spec 30 §7.3, items 33 39: Inactive: what waited is lost, traffic passes for the gateway to refuse, the next query recovers
system 192.0.2.53
resource app dns *.example.com
app asks A app.example.com
=> app hears *
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow app
portal creates app
=> gateway gets assigned *
=> gateway resolves app.example.com
site says app.example.com timeout
=> client gets status app app.example.com Inactive
app sends udp 1000 > 100.96.0.1:443
=> app gets icmp 3/13 100.96.0.1 > 100.64.0.7 about udp 100.64.0.7:1000 > 100.96.0.1:443
=> portal gets create_flow app gateway
app asks A app.example.com
=> app hears *
=> gateway gets assigned *
=> gateway resolves app.example.com
app sends udp 1000 > 100.96.0.1:443
=> nothing
site says app.example.com 10.9.0.5
=> client gets status app app.example.com Active
=> lan gets udp 100.64.0.7:1000 > 10.9.0.5:443
