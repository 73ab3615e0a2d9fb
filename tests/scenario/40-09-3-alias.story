# spec 40 §9.3: aliases within an answer are followed
resolver server 192.0.2.10
resource app dns app.example.com
other client alice
portal grants app to alice
ignore upstream *
alice sends assigned app app.example.com 100.96.0.1
=> gateway resolves app.example.com
upstream 192.0.2.10 to A app.example.com answers NOERROR | @ 60 CNAME a.cdn.example | a.cdn.example 60 CNAME b.cdn.example | b.cdn.example 60 A 10.9.0.5 | other.example 60 A 10.9.0.66
upstream 192.0.2.10 to AAAA app.example.com answers NOERROR | @ 60 CNAME @ | @ 60 CNAME app.example.com
=> alice gets status app app.example.com Active
alice sends udp 1000 > 100.96.0.1:443
=> lan gets udp * > 10.9.0.5:443
