# spec 30 §10.1, item 50: the portal's Do53 before its DoH before the system's resolvers
system 192.0.2.53
=> sentinels 100.100.111.1=192.0.2.53
interface doh https://dns.example/dns-query
=> sentinels 100.100.111.2=https://dns.example/dns-query
interface do53 192.0.2.1 192.0.2.2 doh https://dns.example/dns-query
=> sentinels 100.100.111.1=192.0.2.1 100.100.111.3=192.0.2.2
interface
=> sentinels 100.100.111.2=192.0.2.53
