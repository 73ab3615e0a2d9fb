# dns-proxy: a single label that no suffix finds is asked for as it is
proxy default 192.0.2.1
proxy search lan
host asks A nas
=> upstream 192.0.2.1 udp gets rd A nas.lan*
upstream 192.0.2.1 answers NXDOMAIN
=> upstream 192.0.2.1 udp gets rd A nas*
upstream 192.0.2.1 answers NXDOMAIN
=> host hears 1 NXDOMAIN * A nas
