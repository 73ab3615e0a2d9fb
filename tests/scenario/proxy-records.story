# dns-proxy: static records are all that a name has, and make PTR records
proxy default 192.0.2.1
proxy rule **.lan 10.0.0.1
proxy record nas.lan 300 A 192.168.1.5
proxy record files.lan 300 CNAME nas.lan
host asks A nas.lan
=> host hears 1 NOERROR qr,aa,rd,ra A nas.lan | @ 300 A 192.168.1.5
host asks AAAA nas.lan
=> host hears 1 NOERROR qr,aa,rd,ra AAAA nas.lan*
host asks A files.lan
=> host hears 1 NOERROR qr,aa,rd,ra A files.lan | @ 300 CNAME nas.lan | nas.lan 300 A 192.168.1.5
host asks PTR 5.1.168.192.in-addr.arpa
=> host hears 1 NOERROR qr,aa,rd,ra PTR 5.1.168.192.in-addr.arpa | @ 300 PTR nas.lan
host asks A printer.lan
=> upstream 10.0.0.1 udp gets rd A printer.lan
