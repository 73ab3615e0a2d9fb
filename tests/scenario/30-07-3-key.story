# spec 30 §7.3, item 35: two resources of one name: each is announced for itself
system 192.0.2.53
resource web dns app.example.com filters tcp/443
resource all dns *.example.com filters udp
app asks A app.example.com
=> app hears *
app sends tcp 1000 > 100.96.0.1:443 syn
=> portal gets create_flow web
app sends udp 1000 > 100.96.0.1:53
=> portal gets create_flow all
portal creates web
=> gateway gets assigned web app.example.com *
=> gateway resolves app.example.com
portal creates all
=> gateway gets assigned all app.example.com *
=> gateway resolves app.example.com
site says app.example.com 10.9.0.5
=> client gets status all app.example.com Active
=> lan gets udp 100.64.0.7:1000 > 10.9.0.5:53
