# spec 30 §10.2, item 52: an IPv4 sentinel for IPv4 and DoH servers, an IPv6 sentinel for IPv6 servers
interface do53 192.0.2.1 2001:db8::1 192.0.2.2
=> sentinels 100.100.111.1=192.0.2.1 fd00:2021:1111:8000:100:100:111:0=2001:db8::1 100.100.111.2=192.0.2.2
interface doh https://one.example/dns-query
=> sentinels 100.100.111.3=https://one.example/dns-query
