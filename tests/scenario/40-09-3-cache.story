# spec 40 §9.3, item 44: the gateway's resolver keeps answers for the TTL of their records
resolver server 192.0.2.10
resource app dns app.example.com
other client alice
portal grants app to alice
alice sends assigned app app.example.com 100.96.0.1
=> gateway resolves app.example.com
=> upstream 192.0.2.10 udp gets rd A app.example.com edns 1232
=> upstream 192.0.2.10 udp gets rd AAAA app.example.com edns 1232
upstream 192.0.2.10 to A app.example.com answers NOERROR | @ 30 A 10.9.0.5
upstream 192.0.2.10 to AAAA app.example.com answers NOERROR | authority example.com 900 SOA 60
=> alice gets status app app.example.com Active
wait 29s
alice sends assigned app app.example.com 100.96.0.1
=> gateway resolves app.example.com
=> alice gets status app app.example.com Active
wait 2s
alice sends assigned app app.example.com 100.96.0.1
=> gateway resolves app.example.com
=> upstream 192.0.2.10 udp gets rd A app.example.com edns 1232
upstream 192.0.2.10 answers NOERROR | @ 30 A 10.9.0.6
=> alice gets status app app.example.com Active
alice sends udp 1000 > 100.96.0.1:443
=> lan gets udp 100.64.2.8:1000 > 10.9.0.6:443
