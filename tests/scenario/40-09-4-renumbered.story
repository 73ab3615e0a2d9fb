# spec 40 §9.4, item 46: an address that stood for another name: the client restarted, all of its NAT is forgotten
resource app dns *.example.com
other client alice
portal grants app to alice
alice sends assigned app a.example.com 100.96.0.1
=> gateway resolves a.example.com
site says a.example.com 10.9.0.1
=> alice gets status *
alice sends assigned app b.example.com 100.96.0.5
=> gateway resolves b.example.com
site says b.example.com 10.9.0.2
=> alice gets status *
alice sends udp 1000 > 100.96.0.5:443
=> lan gets udp 100.64.2.8:1000 > 10.9.0.2:443
alice sends assigned app c.example.com 100.96.0.1
=> gateway resolves c.example.com
site says c.example.com 10.9.0.3
=> alice gets status app c.example.com Active
alice sends udp 1000 > 100.96.0.5:443
=> alice gets icmp 3/13 *
lan sends udp 10.9.0.2:443 > 100.64.2.8:1000
=> nothing
alice sends udp 1000 > 100.96.0.1:443
=> lan gets udp 100.64.2.8:1000 > 10.9.0.3:443
