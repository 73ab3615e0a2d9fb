# spec 30 §7.2, items 36 38: query, flow, assignment, resolution, and the packet that waited arrives
system 192.0.2.53
resource app dns *.example.com
app asks A app.example.com
=> app hears *
app sends tcp 1000 > 100.96.0.1:443 syn
=> portal gets create_flow app
portal creates app
=> gateway gets assigned app app.example.com *
=> gateway resolves app.example.com
site says app.example.com 10.9.0.5 2001:db8::5
=> client gets status app app.example.com Active
=> lan gets tcp 100.64.0.7:1000 > 10.9.0.5:443
lan replies
=> app gets tcp 100.96.0.1:443 > 100.64.0.7:1000
app sends echo > fd00:2021:1111:8000::2
=> lan gets echo fd00:2021:1111::7 > 2001:db8::5 id 1
lan replies
=> app gets echo fd00:2021:1111:8000::2 > fd00:2021:1111::7 id 1
