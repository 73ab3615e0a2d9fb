# spec 30 §10.3, item 53: a server moves into the tunnel with a resource, and out with it; what is in flight ends
interface do53 10.0.0.53
app asks A a.example.org
=> upstream 10.0.0.53 udp gets rd A a.example.org
resource net cidr 10.0.0.0/24
=> app hears 1 SERVFAIL qr,rd A a.example.org
app asks A b.example.org
=> portal gets create_flow net
portal creates net
=> lan gets dns udp * > 10.0.0.53:53 rd A b.example.org
delete net
=> app hears 1 SERVFAIL qr,rd A b.example.org
app asks A c.example.org
=> upstream 10.0.0.53 udp gets rd A c.example.org
