# spec 40 §9.1, item 66: a goodbye is believed and not answered; the client is forgotten
resource app dns app.example.com
other client alice
portal grants app to alice
alice sends assigned app app.example.com 100.96.0.1
=> gateway resolves app.example.com
site says app.example.com 10.9.0.5
=> alice gets status *
alice sends control 2
=> nothing
alice sends udp 1000 > 100.96.0.1:443
=> nothing
portal grants app to alice
alice sends udp 1000 > 100.96.0.1:443
=> alice gets icmp 3/13 100.96.0.1 > 100.64.2.8 about udp 100.64.2.8:1000 > 100.96.0.1:443
