# spec 40 §9.6, item 53: the quoted port, or echo identifier, is the one that the client used
resource app dns *.example.com
other client alice
portal grants app to alice
ignore gateway resolves *
alice sends assigned app a.example.com 100.96.0.1 100.96.0.2
site says a.example.com 10.9.0.5
=> alice gets status *
alice sends udp 1000 > 100.96.0.1:443
=> lan gets udp 100.64.2.8:1000 > 10.9.0.5:443
alice sends udp 1000 > 100.96.0.2:443
=> lan gets udp 100.64.2.8:1001 > 10.9.0.5:443
lan sends icmp 11/0 10.9.0.1 > 100.64.2.8 about udp 100.64.2.8:1001 > 10.9.0.5:443
=> alice gets icmp 11/0 100.96.0.2 > 100.64.2.8 about udp 100.64.2.8:1000 > 100.96.0.2:443
alice sends echo > 100.96.0.1 id 5
=> lan gets echo 100.64.2.8 > 10.9.0.5 id 5
alice sends echo > 100.96.0.2 id 5
=> lan gets echo 100.64.2.8 > 10.9.0.5 id 6
lan sends icmp 3/1 10.9.0.1 > 100.64.2.8 about echo 100.64.2.8 > 10.9.0.5 id 6
=> alice gets icmp 3/1 100.96.0.2 > 100.64.2.8 about echo 100.64.2.8 > 100.96.0.2 id 5
