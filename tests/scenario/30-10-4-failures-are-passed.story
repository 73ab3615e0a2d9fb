# spec 30 §10.4, item 54: NXDOMAIN, SERVFAIL and REFUSED of the server are the answer
system 192.0.2.53
app asks A a.example.org
=> upstream *
upstream 192.0.2.53 answers NXDOMAIN | authority example.org 900 SOA 60
=> app hears 1 NXDOMAIN qr,rd,ra A a.example.org | authority example.org 900 SOA 28 octets
app asks A b.example.org
=> upstream *
upstream 192.0.2.53 answers SERVFAIL
=> app hears 1 SERVFAIL qr,rd,ra A b.example.org
app asks A c.example.org
=> upstream *
upstream 192.0.2.53 answers REFUSED
=> app hears 1 REFUSED qr,rd,ra A c.example.org
