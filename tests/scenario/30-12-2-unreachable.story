# spec 30 §12.2, item 60: other ICMP errors are the application's and ask for nothing
system 192.0.2.53
resource app dns app.example.com
app asks A app.example.com
=> app hears *
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow app
portal creates app
=> gateway gets assigned *
=> gateway resolves app.example.com
site says app.example.com nothing
=> client gets status app app.example.com Active
=> app gets icmp 3/0 100.96.0.1 > 100.64.0.7 *
