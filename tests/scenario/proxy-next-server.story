# dns-proxy: SERVFAIL of one server lets the next one try; a failure of all is SERVFAIL
proxy default 192.0.2.1 192.0.2.2
host asks A www.example.org
=> upstream 192.0.2.1 udp gets rd A www.example.org
=> upstream 192.0.2.2 udp gets rd A www.example.org
upstream 192.0.2.1 answers SERVFAIL
=> nothing
upstream 192.0.2.2 answers NOERROR | @ 60 A 198.51.100.1
=> host hears 1 NOERROR * | @ 60 A 198.51.100.1
