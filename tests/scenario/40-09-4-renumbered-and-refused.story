# spec 40 §9.4, item 46: the renumbering counts even when the new name is refused
resource app dns *.example.com
other client alice
portal grants app to alice
alice sends assigned app a.example.com 100.96.0.1
=> gateway resolves a.example.com
site says a.example.com 10.9.0.1
=> alice gets status *
alice sends assigned app other.org 100.96.0.1
=> alice gets status app other.org Inactive
alice sends udp 1000 > 100.96.0.1:443
=> alice gets icmp 3/13 *
