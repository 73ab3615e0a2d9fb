# dns-proxy: an answer is cut to what its asker takes, 1232 bytes at most, and whole over TCP
proxy default 192.0.2.1
ignore upstream *
host asks A big.example.org edns 4096
upstream 192.0.2.1 udp answers NOERROR filler 100 0
=> host hears 1 NOERROR qr,tc,rd,ra A big.example.org*
host asks A big.example.org
upstream 192.0.2.1 udp answers NOERROR filler 30 0
=> host hears 1 NOERROR qr,tc,rd,ra A big.example.org*
host asks A big.example.org edns 1232
upstream 192.0.2.1 udp answers NOERROR filler 30 0
=> host hears 1 NOERROR qr,rd,ra A big.example.org | 30 records
host asks A big.example.org tcp
upstream 192.0.2.1 tcp answers NOERROR filler 100 0
=> host hears tcp 1 NOERROR qr,rd,ra A big.example.org | 100 records
