# spec 30 §10.4, item 54: an IPv6 server answers at its IPv6 sentinel
system 2001:db8::53
app asks AAAA www.example.org at fd00:2021:1111:8000:100:100:111:0
=> upstream 2001:db8::53 udp gets rd AAAA www.example.org
upstream 2001:db8::53 answers NOERROR | @ 300 AAAA 2001:db8::80
=> app hears 1 NOERROR qr,rd,ra AAAA www.example.org | @ 300 AAAA 2001:db8::80
