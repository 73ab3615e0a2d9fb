# spec 40 §9.5: protocols without ports, and ICMP other than echo, are dropped without a word
resource app dns app.example.com
other client alice
portal grants app to alice
ignore gateway resolves *
alice sends assigned app app.example.com 100.96.0.1
site says app.example.com 10.9.0.5
=> alice gets status *
alice sends proto 47 > 100.96.0.1
=> nothing
alice sends icmp 3/3 > 100.96.0.1 about udp 10.9.0.5:5 > 100.64.2.8:1000
=> nothing
