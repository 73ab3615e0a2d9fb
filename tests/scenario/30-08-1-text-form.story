# spec 30 §8.1, item 40: it is the text of a name that is matched: a dot within a label is written \. and still separates
system 192.0.2.53
resource app dns *.example.com
resource deep dns **.example.net
app asks A a\.b.example.com
=> upstream 192.0.2.53 udp gets rd A a\.b.example.com
app asks A a\.b.example.net
=> app hears * A a\.b.example.net | @ 1 A 100.96.0.1 *
