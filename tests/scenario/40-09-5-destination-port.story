# spec 40 §9.5: the destination port is no part of a session: one source port, two services, one session
resource app dns app.example.com
other client alice
portal grants app to alice
ignore gateway resolves *
alice sends assigned app app.example.com 100.96.0.1
site says app.example.com 10.9.0.5
=> alice gets status *
alice sends udp 1000 > 100.96.0.1:443
=> lan gets udp 100.64.2.8:1000 > 10.9.0.5:443
alice sends udp 1000 > 100.96.0.1:53
=> lan gets udp 100.64.2.8:1000 > 10.9.0.5:53
lan sends udp 10.9.0.5:443 > 100.64.2.8:1000
=> alice gets udp 100.96.0.1:443 > 100.64.2.8:1000
