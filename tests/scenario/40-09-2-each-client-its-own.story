# spec 40 §9.2: two clients, the same proxy address, two names
resource app dns *.example.com
other client alice
other client bob
portal grants app to alice
portal grants app to bob
alice sends assigned app a.example.com 100.96.0.1
=> gateway resolves a.example.com
bob sends assigned app b.example.com 100.96.0.1
=> gateway resolves b.example.com
site says a.example.com 10.9.0.1
=> alice gets status app a.example.com Active
site says b.example.com 10.9.0.2
=> bob gets status app b.example.com Active
alice sends udp 1000 > 100.96.0.1:443
=> lan gets udp 100.64.2.8:1000 > 10.9.0.1:443
lan replies
=> alice gets udp 100.96.0.1:443 > 100.64.2.8:1000
bob sends udp 1000 > 100.96.0.1:443
=> lan gets udp 100.64.2.9:1000 > 10.9.0.2:443
lan replies
=> bob gets udp 100.96.0.1:443 > 100.64.2.9:1000
