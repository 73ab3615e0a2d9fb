# dns-proxy: the most specific rule says whom to ask, else the default servers
proxy default 192.0.2.1
proxy rule *.corp.example 10.0.0.1
proxy rule **.example 10.0.0.2
proxy rule www.corp.example default
host asks A app.corp.example
=> upstream 10.0.0.1 udp gets rd A app.corp.example
upstream 10.0.0.1 answers NOERROR | @ 60 A 10.1.1.1
=> host hears 1 NOERROR qr,rd,ra A app.corp.example | @ 60 A 10.1.1.1
host asks A a.b.corp.example
=> upstream 10.0.0.2 udp gets rd A a.b.corp.example
host asks A www.corp.example
=> upstream 192.0.2.1 udp gets rd A www.corp.example
host asks A example.org
=> upstream 192.0.2.1 udp gets rd A example.org
