# spec 30 §9.1: over TCP what is no query resets the connection
system 192.0.2.53
resource app dns app.example.com
app dials c1
app asks A app.example.com questions 2 on c1
=> app loses c1
