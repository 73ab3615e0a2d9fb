# spec 40 §9.5, item 38: filters look at the proxy address and the service's port, on the way out and back
resource app dns app.example.com filters tcp/443,icmp
other client alice
portal grants app to alice
ignore gateway resolves *
alice sends assigned app app.example.com 100.96.0.1
site says app.example.com 10.9.0.5
=> alice gets status *
alice sends tcp 1000 > 100.96.0.1:443 syn
=> lan gets tcp * > 10.9.0.5:443
alice sends tcp 1000 > 100.96.0.1:80 syn
=> alice gets icmp 3/13 *
alice sends udp 1000 > 100.96.0.1:443
=> alice gets icmp 3/13 *
alice sends echo > 100.96.0.1
=> lan gets echo *
lan sends tcp 10.9.0.5:80 > 100.64.2.8:1000
=> nothing
