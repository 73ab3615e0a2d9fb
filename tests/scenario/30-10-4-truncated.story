# spec 30 §10.4: an answer truncated over UDP is asked for again over TCP
system 192.0.2.53
app asks A www.example.org
=> upstream 192.0.2.53 udp gets rd A www.example.org
upstream 192.0.2.53 answers NOERROR tc
=> upstream 192.0.2.53 tcp gets rd A www.example.org
upstream 192.0.2.53 tcp answers NOERROR | @ 300 A 198.51.100.1
=> app hears 1 NOERROR qr,rd,ra A www.example.org | @ 300 A 198.51.100.1
