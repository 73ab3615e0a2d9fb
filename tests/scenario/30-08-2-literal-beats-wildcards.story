# spec 30 §8.2, item 42: a literal is more specific than ?, that than *, that than **
system 192.0.2.53
resource exact dns app.example.com
resource mark dns ap?.example.com
resource star dns *.example.com
resource stars dns **.example.com
app asks A app.example.com
=> app hears * | @ 1 A 100.96.0.1 *
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow exact
delete exact
app asks A app.example.com
=> app hears * | @ 1 A 100.96.0.1 *
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow mark
delete mark
app asks A app.example.com
=> app hears *
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow star
delete star
app asks A app.example.com
=> app hears *
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow stars
