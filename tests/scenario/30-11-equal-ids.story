# spec 30 §11, item 57: answers go to the connection that asked, whatever its ID
system 192.0.2.53
app dials c1
app dials c2
app asks A a.example.org id 5 on c1
=> upstream 192.0.2.53 tcp gets rd A a.example.org
app asks A b.example.org id 5 on c2
=> upstream 192.0.2.53 tcp gets rd A b.example.org
upstream 192.0.2.53 to A a.example.org answers NOERROR | @ 60 A 198.51.100.1
=> app hears c1 5 NOERROR qr,rd,ra A a.example.org | @ 60 A 198.51.100.1
upstream 192.0.2.53 to A b.example.org answers NOERROR | @ 60 A 198.51.100.2
=> app hears c2 5 NOERROR qr,rd,ra A b.example.org | @ 60 A 198.51.100.2
