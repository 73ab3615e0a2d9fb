# spec 30 §10.4: truncated through the tunnel, asked again over TCP through the tunnel
interface do53 10.0.0.53
resource net cidr 10.0.0.0/8
lan serves 10.0.0.53
app asks A a.example.org id 5
=> portal gets create_flow net
portal creates net
=> lan gets dns udp * > 10.0.0.53:53 rd A a.example.org
lan answers NOERROR tc
=> lan gets dns tcp * > 10.0.0.53:53 rd A a.example.org
lan answers NOERROR | @ 300 A 198.51.100.1
=> app hears 5 NOERROR qr,rd,ra A a.example.org | @ 300 A 198.51.100.1
