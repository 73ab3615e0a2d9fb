# spec 40 §9.3, item 43: a name of one family is Active, and the other family unreachable
resource app dns app.example.com
other client alice
portal grants app to alice
alice sends assigned app app.example.com 100.96.0.1 fd00:2021:1111:8000::
=> gateway resolves app.example.com
site says app.example.com 2001:db8::5
=> alice gets status app app.example.com Active
alice sends udp 1000 > [fd00:2021:1111:8000::]:443
=> lan gets udp [fd00:2021:1111::2:8]:1000 > [2001:db8::5]:443
alice sends udp 1000 > 100.96.0.1:443
=> alice gets icmp 3/0 100.96.0.1 > 100.64.2.8 about udp 100.64.2.8:1000 > 100.96.0.1:443
