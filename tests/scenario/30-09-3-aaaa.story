# spec 30 §9.3, items 3 44: AAAA has the four IPv6 proxy addresses; the first query assigns both families
system 192.0.2.53
resource app dns *.example.com
app asks AAAA app.example.com
=> app hears 1 NOERROR qr,rd AAAA app.example.com | @ 1 AAAA fd00:2021:1111:8000:: | @ 1 AAAA fd00:2021:1111:8000::1 | @ 1 AAAA fd00:2021:1111:8000::2 | @ 1 AAAA fd00:2021:1111:8000::3
app asks A db.example.com
=> app hears 1 NOERROR qr,rd A db.example.com | @ 1 A 100.96.0.5 | @ 1 A 100.96.0.6 | @ 1 A 100.96.0.7 | @ 1 A 100.96.0.8
app asks A app.example.com
=> app hears 1 NOERROR qr,rd A app.example.com | @ 1 A 100.96.0.1 | @ 1 A 100.96.0.2 | @ 1 A 100.96.0.3 | @ 1 A 100.96.0.4
