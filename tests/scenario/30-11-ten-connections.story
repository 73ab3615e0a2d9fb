# spec 30 §11, item 57: ten connections to a sentinel, the eleventh is refused, another sentinel is not concerned
system 192.0.2.53 192.0.2.54
resource app dns app.example.com
repeat 10 app dials c%
app dials c11
=> app loses c11
app asks A app.example.com on c10
=> app hears c10 1 NOERROR *
app dials d1 at 100.100.111.2
app asks A app.example.com on d1
=> app hears d1 1 NOERROR *
app hangs up c3
app asks A app.example.com tcp
=> app hears tcp 1 NOERROR *
