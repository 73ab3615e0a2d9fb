# spec 40 §9.6, item 51: an error about a dead session is dropped, one about none passes as it is
resource app dns app.example.com
other client alice
portal grants app to alice
ignore gateway resolves *
alice sends assigned app app.example.com 100.96.0.1
site says app.example.com 10.9.0.5
=> alice gets status *
alice sends udp 1000 > 100.96.0.1:443
=> lan gets udp *
lan sends icmp 3/3 10.9.0.5 > 100.64.2.8 about udp 100.64.2.8:2000 > 10.9.0.5:443
=> alice gets icmp 3/3 10.9.0.5 > 100.64.2.8 about udp 100.64.2.8:2000 > 10.9.0.5:443
wait 62s
lan sends icmp 3/3 10.9.0.5 > 100.64.2.8 about udp 100.64.2.8:1000 > 10.9.0.5:443
=> nothing
