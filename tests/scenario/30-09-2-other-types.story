# spec 30 §9.2, item 49: other types of a matching name are forwarded
system 192.0.2.53
resource app dns app.example.com
app asks MX app.example.com
=> upstream 192.0.2.53 udp gets rd MX app.example.com
upstream 192.0.2.53 answers NOERROR | @ 300 MX 10 mail.example.com
=> app hears 1 NOERROR qr,rd,ra MX app.example.com | @ 300 MX 10 mail.example.com
app asks NS app.example.com
=> upstream 192.0.2.53 udp gets rd NS app.example.com
app asks SVCB app.example.com
=> upstream 192.0.2.53 udp gets rd SVCB app.example.com
app asks CAA app.example.com
=> upstream 192.0.2.53 udp gets rd CAA app.example.com
app asks ANY app.example.com
=> upstream 192.0.2.53 udp gets rd ANY app.example.com
app asks TYPE65280 app.example.com
=> upstream 192.0.2.53 udp gets rd TYPE65280 app.example.com
