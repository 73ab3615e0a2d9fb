# dns-proxy: answers, negative ones by their SOA, are kept with all sections
proxy default 192.0.2.1
host asks A no.example.org
=> upstream 192.0.2.1 udp gets rd A no.example.org
upstream 192.0.2.1 answers NXDOMAIN | authority example.org 900 SOA 60
=> host hears *
wait 10s
host asks A no.example.org id 7
=> host hears 7 NXDOMAIN qr,rd,ra A no.example.org | authority example.org * SOA 28 octets
wait 51s
host asks A no.example.org
=> upstream 192.0.2.1 udp gets rd A no.example.org
