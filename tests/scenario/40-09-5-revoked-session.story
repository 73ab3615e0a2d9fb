# spec 40 §9.5, item 41: with access its sessions end, on the way out and back, and it may come again
resource app dns app.example.com
resource net cidr 10.8.0.0/16
other client alice
portal grants app to alice
portal grants net to alice
ignore gateway resolves *
alice sends assigned app app.example.com 100.96.0.1
site says app.example.com 10.9.0.5
=> alice gets status *
alice sends udp 1000 > 100.96.0.1:443
=> lan gets udp *
portal revokes app of alice
lan replies
=> nothing
alice sends udp 1000 > 100.96.0.1:443
=> alice gets icmp 3/13 *
portal grants app to alice
alice sends udp 1000 > 100.96.0.1:443
=> lan gets udp 100.64.2.8:1000 > 10.9.0.5:443
