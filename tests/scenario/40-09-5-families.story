# spec 40 §9.5, item 52: no translation between families
resource app dns app.example.com
other client alice
portal grants app to alice
ignore gateway resolves *
alice sends assigned app app.example.com 100.96.0.1 100.96.0.2 fd00:2021:1111:8000:: fd00:2021:1111:8000::1
site says app.example.com 10.9.0.5
=> alice gets status *
alice sends udp 1000 > 100.96.0.2:443
=> lan gets udp * > 10.9.0.5:443
alice sends udp 1000 > [fd00:2021:1111:8000::1]:443
=> alice gets icmp 1/3 *
