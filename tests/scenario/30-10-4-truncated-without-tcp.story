# spec 30 §10.4: TC of the server is passed through when TCP does not work there
system 192.0.2.53
app asks A www.example.org
=> upstream 192.0.2.53 udp gets rd A www.example.org
upstream 192.0.2.53 answers NOERROR tc | @ 300 A 198.51.100.1
=> upstream 192.0.2.53 tcp gets rd A www.example.org
upstream 192.0.2.53 tcp fails refused
=> app hears 1 NOERROR qr,tc,rd,ra A www.example.org *
