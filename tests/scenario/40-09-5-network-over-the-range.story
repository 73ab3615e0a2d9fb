# spec 40 §9.5, item 56: a network over the proxy range leads nowhere: unreachable
resource net cidr 100.96.0.0/11
other client alice
portal grants net to alice
alice sends udp 1000 > 100.96.0.1:443
=> alice gets icmp 3/0 *
