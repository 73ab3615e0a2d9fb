# spec 40 §9.2, item 42: one address outside the proxy ranges refuses them all
resource app dns app.example.com
other client alice
portal grants app to alice
alice sends assigned app app.example.com 100.96.0.1 10.0.0.1
=> alice gets status app app.example.com Inactive
alice sends assigned app app.example.com 100.128.0.0
=> alice gets status app app.example.com Inactive
alice sends assigned app app.example.com 100.95.255.255
=> alice gets status app app.example.com Inactive
alice sends assigned app app.example.com fd00:2021:1111::1
=> alice gets status app app.example.com Inactive
alice sends assigned app app.example.com 100.127.255.255 fd00:2021:1111:8000::ffff
=> gateway resolves app.example.com
alice sends udp 1000 > 100.96.0.1:443
=> alice gets icmp 3/13 *
