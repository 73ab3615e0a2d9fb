# spec 30 §9.4, item 47: a gateway that does not answer for 10 s: SERVFAIL
system 192.0.2.53
resource app dns *.example.com
app asks TXT app.example.com id 9
=> portal gets create_flow app
portal creates app
=> lan gets dns udp * > 100.64.1.50:53535 rd TXT app.example.com
wait 9900ms
=> nothing
wait 100ms
=> app hears 9 SERVFAIL qr,rd TXT app.example.com
