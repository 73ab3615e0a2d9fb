# spec 30 §11, item 57: a connection to a sentinel that is gone is reset
system 192.0.2.53
resource app dns app.example.com
app dials c1
system 192.0.2.54
=> app loses c1
