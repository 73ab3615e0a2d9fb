# dns-proxy: only private, loopback and listed networks are answered
proxy default 192.0.2.1
host asks A www.example.org from 198.51.100.7
=> host hears 1 REFUSED *
host asks A www.example.org from 10.1.2.3
=> upstream 192.0.2.1 udp gets rd A www.example.org
