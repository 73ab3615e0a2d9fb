# spec 40 §9.4: two resources of one name share its proxy addresses, each with its filters
resource web dns app.example.com filters tcp/443
resource all dns *.example.com filters udp/1000-2000
other client alice
portal grants web to alice
portal grants all to alice
alice sends assigned web app.example.com 100.96.0.1
=> gateway resolves app.example.com
site says app.example.com 10.9.0.5
=> alice gets status web *
alice sends udp 5 > 100.96.0.1:1500
=> alice gets icmp 3/13 *
alice sends assigned all app.example.com 100.96.0.1
=> gateway resolves app.example.com
site says app.example.com 10.9.0.5
=> alice gets status all *
alice sends udp 5 > 100.96.0.1:1500
=> lan gets udp 100.64.2.8:5 > 10.9.0.5:1500
alice sends tcp 5 > 100.96.0.1:443 syn
=> lan gets tcp 100.64.2.8:5 > 10.9.0.5:443
portal revokes web of alice
alice sends tcp 5 > 100.96.0.1:443
=> alice gets icmp 3/13 *
alice sends udp 5 > 100.96.0.1:1500
=> lan gets udp *
