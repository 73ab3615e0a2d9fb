# spec 30 §9.4, item 47: asked at an IPv6 sentinel, the gateway's IPv6 address is asked
system 192.0.2.53 2001:db8::53
resource app dns *.example.com
=> sentinels 100.100.111.1=192.0.2.53 fd00:2021:1111:8000:100:100:111:0=2001:db8::53
app asks TXT app.example.com at fd00:2021:1111:8000:100:100:111:0
=> portal gets create_flow app
portal creates app
=> lan gets dns udp [fd00:2021:1111::7]:* > [fd00:2021:1111::1:50]:53535 rd TXT app.example.com
lan answers NOERROR | @ 60 TXT hello
=> app hears 1 NOERROR qr,rd,ra TXT app.example.com | @ 60 TXT hello
