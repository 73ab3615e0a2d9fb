# spec 30 §10.4: a query that came over TCP goes on over TCP; failing there is SERVFAIL
system 192.0.2.53
app asks A www.example.org tcp id 3
=> upstream 192.0.2.53 tcp gets rd A www.example.org
upstream 192.0.2.53 tcp fails refused
=> app hears tcp 3 SERVFAIL qr,rd A www.example.org
