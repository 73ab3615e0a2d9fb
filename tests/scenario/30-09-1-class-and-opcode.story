# spec 30 §9.1: opcode, class and EDNS are not inspected; the opcode is copied, the answer has no OPT and class IN
system 192.0.2.53
resource app dns app.example.com
app asks A app.example.com opcode 2
=> app hears 1 NOERROR qr,rd opcode 2 A app.example.com | @ 1 A 100.96.0.1 *
app asks A app.example.com class 3 edns 4096
=> app hears 1 NOERROR qr,rd A app.example.com class 3 | @ 1 A 100.96.0.1 | @ 1 A 100.96.0.2 | @ 1 A 100.96.0.3 | @ 1 A 100.96.0.4
