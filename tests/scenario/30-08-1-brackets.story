# spec 30 §8.1, item 40: brackets are one character of a set, of none of it, or of a range
system 192.0.2.53
resource set dns [ab].example.com
resource not dns [!x].example.net
resource range dns n[0-9].example.org
app asks A b.example.com
=> app hears * | @ 1 A 100.96.0.1 *
app asks A c.example.com
=> upstream 192.0.2.53 udp gets rd A c.example.com
app asks A y.example.net
=> app hears * | @ 1 A 100.96.0.5 *
app asks A x.example.net
=> upstream 192.0.2.53 udp gets rd A x.example.net
app asks A n7.example.org
=> app hears * | @ 1 A 100.96.0.9 *
app asks A na.example.org
=> upstream 192.0.2.53 udp gets rd A na.example.org
