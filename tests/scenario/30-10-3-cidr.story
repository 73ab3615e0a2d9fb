# spec 30 §10.3, item 53: a portal Do53 server inside a CIDR resource is asked through the tunnel, and asks for a flow
interface do53 10.0.0.53
resource net cidr 10.0.0.0/8
app asks A www.example.org id 5
=> portal gets create_flow net
portal creates net
=> lan gets dns udp 100.64.0.7:* > 10.0.0.53:53 rd A www.example.org
lan answers NOERROR | @ 300 A 198.51.100.80
=> app hears 5 NOERROR qr,rd,ra A www.example.org | @ 300 A 198.51.100.80
