# dns-proxy: blocked names have the address zero if that is wished
proxy default 192.0.2.1
proxy block ads.example
proxy zero
host asks A ads.example
=> host hears 1 NOERROR * | @ 60 A 0.0.0.0
host asks AAAA ads.example
=> host hears 1 NOERROR * | @ 60 AAAA ::
