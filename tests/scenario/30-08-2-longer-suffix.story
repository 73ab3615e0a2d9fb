# spec 30 §8.2, item 42: at the first difference from the end a literal beats a wildcard, so the longer suffix wins
system 192.0.2.53
resource wide dns **.example.com
resource narrow dns **.eu.example.com
app asks A app.eu.example.com
=> app hears *
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow narrow
