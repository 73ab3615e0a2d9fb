# spec 30 §10.4: an answer in another case is an answer
system 192.0.2.53
app asks A WwW.example.org
=> upstream 192.0.2.53 udp gets rd A WwW.example.org
upstream 192.0.2.53 answers NOERROR question A www.EXAMPLE.org | @ 300 A 198.51.100.1
=> app hears 1 NOERROR qr,rd,ra A * | @ 300 A 198.51.100.1
