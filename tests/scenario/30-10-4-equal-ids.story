# spec 30 §10.4, item 54: two sentinels, one ID: each answer finds its question
interface do53 192.0.2.1 192.0.2.2
app asks A a.example.org id 5 at 100.100.111.1
=> upstream 192.0.2.1 udp gets rd A a.example.org
app asks A b.example.org id 5 at 100.100.111.2
=> upstream 192.0.2.2 udp gets rd A b.example.org
upstream 192.0.2.2 answers NOERROR | @ 300 A 198.51.100.2
=> app hears 5 NOERROR qr,rd,ra A b.example.org | @ 300 A 198.51.100.2
upstream 192.0.2.1 answers NOERROR | @ 300 A 198.51.100.1
=> app hears 5 NOERROR qr,rd,ra A a.example.org | @ 300 A 198.51.100.1
