# spec 30 §9.4, item 47: without a gateway the query waits for the flow, and the application for its answer
system 192.0.2.53
resource app dns *.example.com
app asks TXT app.example.com id 9
=> portal gets create_flow app
app asks SRV app.example.com id 10
=> nothing
portal creates app
=> lan gets dns udp * > 100.64.1.50:53535 rd TXT app.example.com
=> lan gets dns udp * > 100.64.1.50:53535 rd SRV app.example.com
lan answers NOERROR | @ 60 SRV 1 2 5060 app.example.com
=> app hears 10 NOERROR qr,rd,ra SRV app.example.com | @ 60 SRV 1 2 5060 app.example.com
