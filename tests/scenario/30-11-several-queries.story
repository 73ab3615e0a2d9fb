# spec 30 §11, item 57: several queries on a connection, answered each
system 192.0.2.53
resource app dns *.example.com
app dials c1
app asks A a.example.com id 1 on c1
=> app hears c1 1 NOERROR qr,rd A a.example.com | @ 1 A 100.96.0.1 *
app asks A www.example.org id 2 on c1
=> upstream 192.0.2.53 tcp gets rd A www.example.org
app asks A b.example.com id 3 on c1
=> app hears c1 3 NOERROR qr,rd A b.example.com | @ 1 A 100.96.0.5 *
upstream 192.0.2.53 answers NOERROR | @ 60 A 198.51.100.1
=> app hears c1 2 NOERROR qr,rd,ra A www.example.org | @ 60 A 198.51.100.1
