# spec 30 §9.1: two questions in a query: dropped without a reply
system 192.0.2.53
resource app dns app.example.com
app asks A app.example.com questions 2
=> nothing
app asks A app.example.com questions 0
=> nothing
