# spec 40 §9.3, item 43: failing servers are an empty answer: Active, and unreachable
resolver server 192.0.2.10
resource app dns app.example.com
other client alice
portal grants app to alice
ignore upstream *
alice sends assigned app app.example.com 100.96.0.1
=> gateway resolves app.example.com
upstream 192.0.2.10 to A app.example.com answers SERVFAIL
upstream 192.0.2.10 to AAAA app.example.com answers REFUSED
=> alice gets status app app.example.com Active
alice sends udp 1000 > 100.96.0.1:443
=> alice gets icmp 3/0 *
