# spec 40 §9.4, item 41: access that ends while a name is resolved: Inactive
resource app dns app.example.com
resource net cidr 10.8.0.0/16
other client alice
portal grants app to alice
portal grants net to alice
alice sends assigned app app.example.com 100.96.0.1
=> gateway resolves app.example.com
portal revokes app of alice
site says app.example.com 10.9.0.5
=> alice gets status app app.example.com Inactive
alice sends udp 1000 > 100.96.0.1:443
=> alice gets icmp 3/13 *
