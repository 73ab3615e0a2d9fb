# spec 30 §10.1, item 50: a DoH URL is https, has a host and no query; others are left out
interface doh http://dns.example/dns-query https://dns.example/q?x=1 https:///dns-query https://good.example/dns-query
=> sentinels 100.100.111.1=https://good.example/dns-query
