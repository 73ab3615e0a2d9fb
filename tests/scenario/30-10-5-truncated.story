# spec 30 §10.5, item 59: a truncated answer is not kept
system 192.0.2.53
app asks A a.example.org
=> upstream *
upstream 192.0.2.53 answers NOERROR tc | @ 300 A 198.51.100.1
=> upstream 192.0.2.53 tcp gets *
upstream 192.0.2.53 tcp fails refused
=> app hears 1 NOERROR qr,tc,rd,ra *
app asks A a.example.org
=> upstream 192.0.2.53 * gets rd A a.example.org
