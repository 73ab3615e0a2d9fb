# spec 30 §9.4, item 47: asked over TCP, the gateway is asked over TCP
system 192.0.2.53
resource app dns *.example.com
lan serves 100.64.1.50 port 53535
app asks TXT app.example.com tcp
=> portal gets create_flow app
portal creates app
=> lan gets dns tcp 100.64.0.7:* > 100.64.1.50:53535 rd TXT app.example.com
lan answers NOERROR | @ 60 TXT hello
=> app hears tcp 1 NOERROR qr,rd,ra TXT app.example.com | @ 60 TXT hello
