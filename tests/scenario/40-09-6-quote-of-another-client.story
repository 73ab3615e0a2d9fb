# spec 40 §9.6, item 51: an error about another client's session does not reach this one as its own
resource app dns app.example.com
other client alice
other client bob
portal grants app to alice
portal grants app to bob
ignore gateway resolves *
alice sends assigned app app.example.com 100.96.0.1
site says app.example.com 10.9.0.5
=> alice gets status *
alice sends udp 1000 > 100.96.0.1:443
=> lan gets udp *
lan sends icmp 3/3 10.9.0.5 > 100.64.2.9 about udp 100.64.2.9:1000 > 10.9.0.5:443
=> bob gets icmp 3/3 10.9.0.5 > 100.64.2.9 about udp 100.64.2.9:1000 > 10.9.0.5:443
