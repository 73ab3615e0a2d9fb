# spec 40 §9.3: more labels than ndots: as it is first, then with the suffixes
resolver server 192.0.2.10
resolver search eu.example corp.example
resource app dns app.site
other client alice
portal grants app to alice
alice sends assigned app app.site 100.96.0.1
=> gateway resolves app.site
=> upstream 192.0.2.10 udp gets rd A app.site edns 1232
=> upstream 192.0.2.10 udp gets rd AAAA app.site edns 1232
upstream 192.0.2.10 to A app.site answers NXDOMAIN
upstream 192.0.2.10 to AAAA app.site answers NXDOMAIN
=> upstream 192.0.2.10 udp gets rd A app.site.eu.example edns 1232
=> upstream 192.0.2.10 udp gets rd AAAA app.site.eu.example edns 1232
upstream 192.0.2.10 to A app.site.eu.example answers NXDOMAIN
upstream 192.0.2.10 to AAAA app.site.eu.example answers NXDOMAIN
=> upstream 192.0.2.10 udp gets rd A app.site.corp.example edns 1232
=> upstream 192.0.2.10 udp gets rd AAAA app.site.corp.example edns 1232
upstream 192.0.2.10 to A app.site.corp.example answers NOERROR | @ 60 A 10.9.0.5
upstream 192.0.2.10 to AAAA app.site.corp.example answers NOERROR
=> alice gets status app app.site Active
alice sends udp 1000 > 100.96.0.1:443
=> lan gets udp * > 10.9.0.5:443
