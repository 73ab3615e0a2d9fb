# spec 30 §10.4: an HTTPS server that cannot be reached: SERVFAIL at once
interface doh https://dns.example/dns-query
app asks A www.example.org id 4242
=> upstream https://dns.example/dns-query https gets *
upstream https://dns.example/dns-query fails unreachable
=> app hears 4242 SERVFAIL qr,rd A www.example.org
