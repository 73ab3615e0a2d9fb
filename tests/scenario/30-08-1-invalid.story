# spec 30 §8.1, item 41: ** glued to a label, *** and an open bracket are no patterns: the resource has no names
system 192.0.2.53
resource glued dns a**.example.com
resource three dns ***.example.com
resource open dns [ab.example.com
app asks A ab.example.com
=> upstream 192.0.2.53 udp gets rd A ab.example.com
app asks A a.example.com
=> upstream 192.0.2.53 udp gets rd A a.example.com
app asks A [ab.example.com
=> upstream 192.0.2.53 udp gets rd A [ab.example.com
