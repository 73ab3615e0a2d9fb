# spec 30 §10.3, item 53: DoH never goes through the tunnel
interface doh https://10.0.0.53/dns-query
resource net cidr 10.0.0.0/8
resource all internet
internet on
app asks A www.example.org
=> upstream https://10.0.0.53/dns-query https gets id 0 rd A www.example.org
