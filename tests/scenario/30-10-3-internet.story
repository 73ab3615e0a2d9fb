# spec 30 §10.3, item 53: with the Internet Resource active every portal Do53 server is inside, without it outside
interface do53 192.0.2.1
resource all internet
app asks A www.example.org
=> upstream 192.0.2.1 udp gets rd A www.example.org
upstream 192.0.2.1 answers NXDOMAIN
=> app hears *
internet on
app asks A mail.example.org
=> portal gets create_flow all
portal creates all
=> lan gets dns udp 100.64.0.7:* > 192.0.2.1:53 rd A mail.example.org
lan answers NXDOMAIN
=> app hears *
internet off
app asks A ftp.example.org
=> upstream 192.0.2.1 udp gets rd A ftp.example.org
