# spec 40 §9.6: ICMP that is neither an error nor echo is dropped on its way in, also where all else passes
resource net cidr 10.9.0.0/16
other client alice
portal grants net to alice
lan sends echo 10.9.0.1 > 100.64.2.8
=> alice gets echo 10.9.0.1 > 100.64.2.8 id 1
lan sends icmp 5/1 10.9.0.1 > 100.64.2.8 about udp 100.64.2.8:1000 > 10.9.0.5:443
=> nothing
lan sends icmp 3/1 10.9.0.1 > 100.64.2.8 about udp 100.64.2.8:1000 > 10.9.0.5:443
=> alice gets icmp 3/1 10.9.0.1 > 100.64.2.8 about udp *
