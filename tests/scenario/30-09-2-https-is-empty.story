# spec 30 §9.2, item 46: HTTPS of a matching name is NOERROR without records; of another it is forwarded
system 192.0.2.53
resource app dns app.example.com
app asks HTTPS app.example.com
=> app hears 1 NOERROR qr,rd HTTPS app.example.com
app asks HTTPS www.example.com
=> upstream 192.0.2.53 udp gets rd HTTPS www.example.com
