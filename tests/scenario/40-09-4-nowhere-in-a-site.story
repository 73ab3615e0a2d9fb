# spec 40 §9.4: addresses of the gateway itself, of nobody or of other clients are left out of what a name means
resource app dns app.example.com
other client alice
portal grants app to alice
alice sends assigned app app.example.com 100.96.0.1 100.96.0.2
=> gateway resolves app.example.com
site says app.example.com 127.0.0.1 0.0.0.0 224.0.0.1 255.255.255.255 100.64.0.9 100.96.0.7 ::1 10.9.0.5
=> alice gets status *
alice sends udp 1000 > 100.96.0.1:443
=> lan gets udp * > 10.9.0.5:443
alice sends udp 1001 > 100.96.0.2:443
=> lan gets udp * > 10.9.0.5:443
