# spec 30 §9.4, item 47: SRV and TXT of a matching name go unchanged to port 53535 of the gateway's tunnel address
system 192.0.2.53
resource app dns *.example.com
app asks A app.example.com
=> app hears *
app sends udp 1000 > 100.96.0.1:443
=> portal gets create_flow app
portal creates app
=> gateway gets assigned app app.example.com *
=> gateway resolves app.example.com
app asks SRV _sip._udp.example.com id 77 edns 1232 flags rd,cd
=> upstream 192.0.2.53 udp gets rd,cd SRV _sip._udp.example.com edns 1232
app asks SRV sip.example.com id 77 edns 1232 flags rd,cd
=> lan gets dns udp 100.64.0.7:* > 100.64.1.50:53535 rd,cd SRV sip.example.com edns 1232
lan answers NOERROR | @ 60 SRV 1 2 5060 app.example.com
=> app hears 77 NOERROR qr,rd,ra SRV sip.example.com | @ 60 SRV 1 2 5060 app.example.com
app asks TXT example.com
=> lan gets dns udp 100.64.0.7:* > 100.64.1.50:53535 rd TXT example.com
lan answers NXDOMAIN
=> app hears 1 NXDOMAIN qr,rd,ra TXT example.com
