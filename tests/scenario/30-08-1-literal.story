# spec 30 §8.1, item 40: a literal pattern matches its name in any case and nothing else
system 192.0.2.53
resource app dns App.example.com
app asks A aPP.Example.COM
=> app hears 1 NOERROR qr,rd A aPP.Example.COM | @ 1 A 100.96.0.1 | @ 1 A 100.96.0.2 | @ 1 A 100.96.0.3 | @ 1 A 100.96.0.4
app asks A xapp.example.com
=> upstream 192.0.2.53 udp gets rd A xapp.example.com
app asks A a.app.example.com
=> upstream 192.0.2.53 udp gets rd A a.app.example.com
