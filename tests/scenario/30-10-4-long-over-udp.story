# spec 30 §10.4, item 56: an answer longer than 1212 bytes: over UDP header and question with TC, over TCP whole
system 192.0.2.53
ignore upstream *
app asks A big.example.org edns 4096
upstream 192.0.2.53 udp answers NOERROR filler 100 2
=> app hears 1 NOERROR qr,tc,rd,ra A big.example.org
app asks A big.example.org tcp
upstream 192.0.2.53 tcp answers NOERROR filler 100 2
=> app hears tcp 1 NOERROR qr,rd,ra A big.example.org | 100 records
