# spec 30 §9.4: over TCP, too, another question is not the answer
system 192.0.2.53
resource app dns *.example.com
lan serves 100.64.1.50 port 53535
app asks TXT app.example.com id 9 tcp
=> portal gets create_flow app
portal creates app
=> lan gets dns tcp *
lan answers NOERROR question TXT db.example.com | @ 60 TXT no
=> app hears tcp 9 SERVFAIL qr,rd TXT app.example.com
