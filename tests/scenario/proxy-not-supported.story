# dns-proxy: other classes, opcodes and zone transfers are not for it
proxy default 192.0.2.1
host asks A www.example.org opcode 4
=> host hears 1 NOTIMP *
host asks TYPE252 example.org tcp
=> host hears tcp 1 * TYPE252 example.org
host asks A www.example.org flags qr
=> nothing
host asks A www.example.org questions 2
=> host hears 1 FORMERR *
