# spec 30 §9.1: of the flags only RD is copied into a local answer
system 192.0.2.53
resource app dns app.example.com
app asks HTTPS app.example.com id 513 flags aa,tc,rd,ra,ad,cd
=> app hears 513 NOERROR qr,rd HTTPS app.example.com
app asks HTTPS app.example.com id 65535 flags -
=> app hears 65535 NOERROR qr HTTPS app.example.com
