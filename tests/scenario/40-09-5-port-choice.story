# spec 40 §9.5, item 49: the source port stays if it is free, else the next one upward, past 65535 from 1
resource app dns *.example.com
other client alice
portal grants app to alice
ignore gateway resolves *
alice sends assigned app a.example.com 100.96.0.1
site says a.example.com 10.9.0.5
=> alice gets status *
alice sends assigned app b.example.com 100.96.0.2
site says b.example.com 10.9.0.5
=> alice gets status *
alice sends udp 1000 > 100.96.0.1:443
=> lan gets udp 100.64.2.8:1000 > 10.9.0.5:443
alice sends udp 1000 > 100.96.0.2:443
=> lan gets udp 100.64.2.8:1001 > 10.9.0.5:443
lan replies
=> alice gets udp 100.96.0.2:443 > 100.64.2.8:1000
alice sends udp 65535 > 100.96.0.1:443
=> lan gets udp 100.64.2.8:65535 > 10.9.0.5:443
alice sends udp 65535 > 100.96.0.2:443
=> lan gets udp 100.64.2.8:1 > 10.9.0.5:443
alice sends tcp 1000 > 100.96.0.2:443 syn
=> lan gets tcp 100.64.2.8:1000 > 10.9.0.5:443
