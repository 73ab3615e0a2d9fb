# spec 30 §10.4, item 56: an answer of at most 1212 bytes is whole for who takes that much, and truncated for who takes 512
system 192.0.2.53
ignore upstream *
app asks A big.example.org edns 1212
upstream 192.0.2.53 udp answers NOERROR filler 36 2
=> app hears 1 NOERROR qr,rd,ra A big.example.org | 36 records
app asks A big.example.org
upstream 192.0.2.53 udp answers NOERROR filler 36 2
=> app hears 1 NOERROR qr,tc,rd,ra A big.example.org
