# spec 30 §10.4: an ICMP error about a query through the tunnel is its failure, and no packet for the application
interface do53 10.0.0.53
resource net cidr 10.0.0.0/8
app asks A www.example.org id 5
=> portal gets create_flow net
portal creates net
=> lan gets dns udp * > 10.0.0.53:53 rd A www.example.org
lan refuses
=> app hears 5 SERVFAIL qr,rd A www.example.org
