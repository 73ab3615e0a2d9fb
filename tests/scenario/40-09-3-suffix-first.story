# spec 40 §9.3: no more labels than ndots: with the suffixes first, as it is last
resolver server 192.0.2.10
resolver search corp.example
resource app dns app
other client alice
portal grants app to alice
alice sends assigned app app 100.96.0.1
=> gateway resolves app
=> upstream 192.0.2.10 udp gets rd A app.corp.example edns 1232
=> upstream 192.0.2.10 udp gets rd AAAA app.corp.example edns 1232
upstream 192.0.2.10 to A app.corp.example answers NXDOMAIN
upstream 192.0.2.10 to AAAA app.corp.example answers NXDOMAIN
=> upstream 192.0.2.10 udp gets rd A app edns 1232
=> upstream 192.0.2.10 udp gets rd AAAA app edns 1232
