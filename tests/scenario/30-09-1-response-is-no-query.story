# spec 30 §9.1: a message with QR set is dropped without a reply
system 192.0.2.53
resource app dns app.example.com
app asks A app.example.com flags qr,rd
=> nothing
app asks A www.example.org flags qr,rd
=> nothing
