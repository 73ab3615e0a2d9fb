# spec 40 §9.5, item 50: a UDP session that was answered lives 2 min after its last packet
resource app dns app.example.com
other client alice
portal grants app to alice
ignore gateway resolves *
alice sends assigned app app.example.com 100.96.0.1
site says app.example.com 10.9.0.5
=> alice gets status *
alice sends udp 1000 > 100.96.0.1:443
=> lan gets udp *
lan replies
=> alice gets udp *
wait 110s
lan sends udp 10.9.0.5:443 > 100.64.2.8:1000
=> alice gets udp 100.96.0.1:443 > 100.64.2.8:1000
wait 110s
lan sends udp 10.9.0.5:443 > 100.64.2.8:1000
=> alice gets udp 100.96.0.1:443 > 100.64.2.8:1000
wait 122s
lan sends udp 10.9.0.5:443 > 100.64.2.8:1000
=> nothing
