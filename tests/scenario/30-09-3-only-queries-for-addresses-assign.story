# spec 30 §9.3, item 3: an HTTPS or MX query assigns no addresses
system 192.0.2.53
resource app dns *.example.com
app asks HTTPS app.example.com
=> app hears 1 NOERROR qr,rd HTTPS app.example.com
app asks MX app.example.com
=> upstream 192.0.2.53 udp gets rd MX app.example.com
app asks A db.example.com
=> app hears * | @ 1 A 100.96.0.1 *
