# spec 40 §9.2, item 23: access that expires ends sessions within a second
resource app dns app.example.com
resource net cidr 10.8.0.0/16
other client alice
portal grants app to alice for 30s
portal grants net to alice
ignore gateway resolves *
alice sends assigned app app.example.com 100.96.0.1
site says app.example.com 10.9.0.1
=> alice gets status *
wait 29s
alice sends udp 1 > 100.96.0.1:5
=> lan gets udp *
wait 2s
lan replies
=> nothing
alice sends udp 1 > 100.96.0.1:5
=> alice gets icmp 3/13 *
