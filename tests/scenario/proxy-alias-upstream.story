# dns-proxy: an alias to a name without records is followed upstream, by that name's rule
proxy default 192.0.2.1
proxy rule **.corp.example 10.0.0.1
proxy record intranet.lan 300 CNAME www.corp.example
host asks A intranet.lan
=> upstream 10.0.0.1 udp gets rd A www.corp.example*
upstream 10.0.0.1 answers NOERROR | @ 60 A 10.0.0.80
=> host hears 1 NOERROR * A intranet.lan | @ 300 CNAME www.corp.example | www.corp.example 60 A 10.0.0.80
