# spec 30 §9.3, items 3 61: addresses belong to the name, across resources, resets and time
system 192.0.2.53
resource app dns app.example.com
app asks A app.example.com
=> app hears * | @ 1 A 100.96.0.1 *
delete app
resource other dns *.example.com
app asks A db.example.com
=> app hears * | @ 1 A 100.96.0.5 *
reset
wait 2h
app asks A APP.example.com
=> app hears * | @ 1 A 100.96.0.1 | @ 1 A 100.96.0.2 | @ 1 A 100.96.0.3 | @ 1 A 100.96.0.4
