# spec 40 §9.5, item 51: late packets of a dead session are dropped, those of no session pass as traffic of a network
resource app dns app.example.com
resource net cidr 10.9.0.0/16
other client alice
portal grants app to alice
portal grants net to alice
ignore gateway resolves *
alice sends assigned app app.example.com 100.96.0.1
site says app.example.com 10.9.0.5
=> alice gets status *
alice sends udp 1000 > 100.96.0.1:443
=> lan gets udp *
wait 62s
lan sends udp 10.9.0.5:443 > 100.64.2.8:1000
=> nothing
lan sends udp 10.9.0.5:443 > 100.64.2.8:1001
=> alice gets udp 10.9.0.5:443 > 100.64.2.8:1001
alice sends udp 1000 > 100.96.0.1:443
=> lan gets udp 100.64.2.8:1000 > 10.9.0.5:443
lan sends udp 10.9.0.5:443 > 100.64.2.8:1000
=> alice gets udp 100.96.0.1:443 > 100.64.2.8:1000
