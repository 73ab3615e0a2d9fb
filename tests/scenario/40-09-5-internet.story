# spec 40 §9.5, item 39: the Internet Resource opens no proxy address
resource all internet
other client alice
portal grants all to alice
alice sends udp 1000 > 198.51.100.1:443
=> lan gets udp 100.64.2.8:1000 > 198.51.100.1:443
alice sends udp 1000 > 100.96.0.1:443
=> alice gets icmp 3/13 *
