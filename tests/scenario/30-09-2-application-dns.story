# spec 30 §9.2, item 43: use-application-dns.net is NXDOMAIN for any type, resource or not
system 192.0.2.53
resource all dns **.net
app asks A use-application-dns.net
=> app hears 1 NXDOMAIN qr,rd A use-application-dns.net
app asks TXT Use-Application-DNS.net
=> app hears 1 NXDOMAIN qr,rd TXT Use-Application-DNS.net
app asks A www.use-application-dns.net
=> app hears 1 NOERROR *
