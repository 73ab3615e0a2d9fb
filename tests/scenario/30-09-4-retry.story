# spec 30 §9.4, item 19: a query that waits keeps asking for its flow, once in 2 s
system 192.0.2.53
resource app dns *.example.com
app asks TXT app.example.com id 9
=> portal gets create_flow app
wait 1900ms
=> nothing
app asks TXT app.example.com id 10
=> nothing
wait 100ms
=> portal gets create_flow app
ignore portal gets create_flow app
wait 8s
=> app hears 9 SERVFAIL qr,rd TXT app.example.com
=> nothing
wait 2s
=> app hears 10 SERVFAIL qr,rd TXT app.example.com
