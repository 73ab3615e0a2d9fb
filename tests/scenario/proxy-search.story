# dns-proxy: a single label is asked for with each suffix, and the answer says so by an alias
proxy default 192.0.2.1
proxy search corp.example
proxy search lan
host asks A nas
=> upstream 192.0.2.1 udp gets rd A nas.corp.example edns 1232
upstream 192.0.2.1 answers NXDOMAIN
=> upstream 192.0.2.1 udp gets rd A nas.lan edns 1232
upstream 192.0.2.1 answers NOERROR | @ 60 A 192.168.1.5
=> host hears 1 NOERROR qr,rd,ra A nas | @ * CNAME nas.lan | nas.lan 60 A 192.168.1.5
