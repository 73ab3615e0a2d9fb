# spec 40 §9.3: both families of one candidate decide together: a wildcard behind a suffix adds no AAAA
resolver server 192.0.2.10
resolver search corp.example
resource app dns app.site
other client alice
portal grants app to alice
alice sends assigned app app.site 100.96.0.1 fd00:2021:1111:8000::
=> gateway resolves app.site
=> upstream 192.0.2.10 udp gets rd A app.site edns 1232
=> upstream 192.0.2.10 udp gets rd AAAA app.site edns 1232
upstream 192.0.2.10 to A app.site answers NOERROR | @ 60 A 10.9.0.5
upstream 192.0.2.10 to AAAA app.site answers NXDOMAIN
=> alice gets status app app.site Active
alice sends udp 1000 > [fd00:2021:1111:8000::]:443
=> alice gets icmp 1/3 *
