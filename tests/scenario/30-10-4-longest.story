# spec 30 §10.4, item 56: TCP carries answers of 60 KB, from upstream and from the cache
system 192.0.2.53
app asks A big.example.org tcp
=> upstream 192.0.2.53 tcp gets rd A big.example.org
upstream 192.0.2.53 tcp answers NOERROR filler 1900 300
=> app hears tcp 1 NOERROR qr,rd,ra A big.example.org | 1900 records
app asks A big.example.org tcp id 2
=> app hears tcp 2 NOERROR qr,rd A big.example.org | 1900 records
