# spec 30 §10.5, item 58: a kept answer that is too long for UDP is asked for again, not cut wrongly
system 192.0.2.53
app asks A big.example.org tcp
=> upstream 192.0.2.53 tcp gets rd A big.example.org
upstream 192.0.2.53 tcp answers NOERROR filler 100 300
=> app hears tcp 1 NOERROR qr,rd,ra A big.example.org | 100 records
app asks A big.example.org
=> upstream 192.0.2.53 udp gets rd A big.example.org
upstream 192.0.2.53 udp answers NOERROR tc
=> upstream 192.0.2.53 tcp gets rd A big.example.org
upstream 192.0.2.53 tcp answers NOERROR filler 100 300
=> app hears 1 NOERROR qr,tc,rd,ra A big.example.org
