# dns-proxy: blocked names and all below them do not exist, a rule lifts one out
proxy default 192.0.2.1
proxy block ads.example
proxy rule good.ads.example default
host asks A ads.example
=> host hears 1 NXDOMAIN *
host asks A x.y.ads.example
=> host hears 1 NXDOMAIN *
host asks A loads.example
=> upstream 192.0.2.1 udp gets rd A loads.example
host asks A good.ads.example
=> upstream 192.0.2.1 udp gets rd A good.ads.example
