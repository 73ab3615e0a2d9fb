# spec 30 §9.4, item 56: a long answer of the site, by UDP and by TCP
system 192.0.2.53
resource app dns *.example.com
lan serves 100.64.1.50 port 53535
app asks SRV app.example.com tcp
=> portal gets create_flow app
portal creates app
=> lan gets dns tcp *
lan answers NOERROR filler 2000 60
=> app hears tcp 1 NOERROR qr,rd,ra SRV app.example.com | 2000 records
