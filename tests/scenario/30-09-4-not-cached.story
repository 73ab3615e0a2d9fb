# spec 30 §9.4: what the site says is not kept: another resource may mean another site
system 192.0.2.53
resource app dns *.example.com
app asks TXT app.example.com
=> portal gets create_flow app
portal creates app
=> lan gets dns udp * rd TXT app.example.com
lan answers NOERROR | @ 600 TXT hello
=> app hears 1 NOERROR *
app asks TXT app.example.com
=> lan gets dns udp * rd TXT app.example.com
