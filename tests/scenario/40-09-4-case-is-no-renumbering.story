# spec 40 §9.4, item 46: the same name in another case is the same name
resource app dns *.example.com
other client alice
portal grants app to alice
alice sends assigned app a.example.com 100.96.0.1
=> gateway resolves a.example.com
site says a.example.com 10.9.0.1
=> alice gets status *
alice sends assigned app A.EXAMPLE.com 100.96.0.1 100.96.0.2
=> gateway resolves A.EXAMPLE.com
alice sends udp 1000 > 100.96.0.1:443
=> lan gets udp 100.64.2.8:1000 > 10.9.0.1:443
