# spec 40 §9.4, item 45: addresses of both sides are sorted and paired in a circle, each proxy address has one
resource app dns app.example.com
other client alice
portal grants app to alice
alice sends assigned app app.example.com 100.96.0.4 100.96.0.2 100.96.0.1 100.96.0.3
=> gateway resolves app.example.com
site says app.example.com 10.9.0.9 10.9.0.100 10.9.0.2
=> alice gets status *
alice sends udp 1000 > 100.96.0.1:443
=> lan gets udp * > 10.9.0.2:443
alice sends udp 1000 > 100.96.0.2:443
=> lan gets udp * > 10.9.0.9:443
alice sends udp 1000 > 100.96.0.3:443
=> lan gets udp * > 10.9.0.100:443
alice sends udp 1000 > 100.96.0.4:444
=> lan gets udp 100.64.2.8:1001 > 10.9.0.2:444
