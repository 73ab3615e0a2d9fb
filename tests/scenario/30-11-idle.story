# spec 30 §11, item 57: an idle connection is ended after 10 s, in good order, and its place is free again
system 192.0.2.53
resource app dns app.example.com
repeat 10 app dials c%
app asks A app.example.com on c1
=> app hears c1 1 NOERROR qr,rd A app.example.com | @ 1 A 100.96.0.1 *
wait 9s
=> nothing
ignore app sees c* end
wait 1s
app asks A app.example.com tcp id 2
=> app hears tcp 2 NOERROR qr,rd A app.example.com | @ 1 A 100.96.0.1 *
