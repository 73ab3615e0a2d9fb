# dns-proxy: special names are answered here, unless a rule says otherwise
proxy default 192.0.2.1
proxy rule **.local 10.0.0.1
host asks A localhost
=> host hears 1 NOERROR * | @ 60 A 127.0.0.1
host asks A x.onion
=> host hears 1 NXDOMAIN *
host asks A x.test
=> host hears 1 NXDOMAIN *
host asks A use-application-dns.net
=> host hears 1 NXDOMAIN *
host asks A printer.local
=> upstream 10.0.0.1 udp gets rd A printer.local
