# spec 30 §9.4, item 47: no flow, no answer from the site: SERVFAIL when the portal says no
system 192.0.2.53
resource app dns *.example.com
app asks TXT app.example.com id 9
=> portal gets create_flow app
portal fails app offline
=> user learns that the site of app is offline
=> app hears 9 SERVFAIL qr,rd TXT app.example.com
