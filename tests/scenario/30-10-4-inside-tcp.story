# spec 30 §10.4: over TCP, one connection through the tunnel carries the queries for a server
interface do53 10.0.0.53
resource net cidr 10.0.0.0/8
lan serves 10.0.0.53
app asks A a.example.org tcp id 5
=> portal gets create_flow net
portal creates net
=> lan gets dns tcp 100.64.0.7:* > 10.0.0.53:53 rd A a.example.org
lan answers NOERROR | @ 300 A 198.51.100.1
=> app hears tcp 5 NOERROR * | @ 300 A 198.51.100.1
app asks A b.example.org tcp id 5
=> lan gets dns tcp 100.64.0.7:* > 10.0.0.53:53 rd A b.example.org
lan answers NOERROR | @ 300 A 198.51.100.2
=> app hears tcp 5 NOERROR qr,rd,ra A b.example.org | @ 300 A 198.51.100.2
