# spec 30 §10.4: through the tunnel, too, an answer counts only from the server and with the right ID and question
interface do53 10.0.0.53
resource net cidr 10.0.0.0/8
app asks A www.example.org id 5
=> portal gets create_flow net
portal creates net
=> lan gets dns udp * > 10.0.0.53:53 rd A www.example.org
ignore app gets udp 10.0.0.66:53 > *
lan answers NOERROR id wrong | @ 300 A 203.0.113.6
=> nothing
lan answers NOERROR question A bank.example.org | @ 300 A 203.0.113.6
=> nothing
lan answers NOERROR from 10.0.0.66 | @ 300 A 203.0.113.6
=> nothing
lan answers NOERROR | @ 300 A 198.51.100.1
=> app hears 5 NOERROR * | @ 300 A 198.51.100.1
