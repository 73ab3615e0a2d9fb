# spec 30 §10.3, item 53: system resolvers are never asked through the tunnel, also when they lie in a resource
system 10.0.0.53
resource net cidr 10.0.0.0/8
resource all internet
internet on
app asks A www.example.org
=> upstream 10.0.0.53 udp gets rd A www.example.org
