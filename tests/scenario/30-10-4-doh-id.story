# spec 30 §10.4, item 55: over HTTPS the ID is 0, and the application sees its own again
interface doh https://dns.example/dns-query
app asks A www.example.org id 4242
=> upstream https://dns.example/dns-query https gets id 0 rd A www.example.org
upstream https://dns.example/dns-query answers NOERROR | @ 300 A 198.51.100.1
=> app hears 4242 NOERROR qr,rd,ra A www.example.org | @ 300 A 198.51.100.1
