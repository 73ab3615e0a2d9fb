# spec 40 §9.4, item 47: a network has no names
resource net cidr 10.9.0.0/16
other client alice
portal grants net to alice
alice sends assigned net app.example.com 100.96.0.1
=> alice gets status net app.example.com Inactive
