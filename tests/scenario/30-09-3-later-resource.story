# spec 30 §9.3: a resource added later leads nowhere for a known name until that is queried again
system 192.0.2.53
resource wide dns *.example.com
app asks A app.example.com
=> app hears *
resource exact dns app.example.com
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow wide
app asks A app.example.com
=> app hears *
app sends udp 1001 > 100.96.0.1:443
=> portal gets create_flow exact
