# spec 30 §10.4, item 54: flags and EDNS of a query reach the server, all of the answer comes back, with the ID of the query
system 192.0.2.53
app asks A www.example.org id 4711 flags rd,ad,cd edns 4096
=> upstream 192.0.2.53 udp gets rd,ad,cd A www.example.org edns 4096
upstream 192.0.2.53 answers NOERROR aa ad | @ 300 CNAME web.example.org | web.example.org 60 A 198.51.100.1 | authority example.org 900 NS ns.example.org | additional ns.example.org 900 A 198.51.100.53
=> app hears 4711 NOERROR qr,aa,rd,ra,ad A www.example.org | @ 300 CNAME web.example.org | web.example.org 60 A 198.51.100.1 | authority example.org 900 NS ns.example.org | additional ns.example.org 900 A 198.51.100.53
