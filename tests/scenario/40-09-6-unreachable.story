# spec 40 §9.6, items 53 54 55: an ICMP error about a session comes from the proxy address, its quote as the client sent it, and confirms the session
resource app dns app.example.com filters tcp/443
other client alice
portal grants app to alice
ignore gateway resolves *
alice sends assigned app app.example.com 100.96.0.1
site says app.example.com 10.9.0.5
=> alice gets status *
alice sends tcp 1000 > 100.96.0.1:443 syn
=> lan gets tcp *
lan sends icmp 3/1 10.9.0.254 > 100.64.2.8 about tcp 100.64.2.8:1000 > 10.9.0.5:443 cut 28
=> alice gets icmp 3/1 100.96.0.1 > 100.64.2.8 about tcp 100.64.2.8:1000 > 100.96.0.1:443
wait 100s
lan sends tcp 10.9.0.5:443 > 100.64.2.8:1000
=> alice gets tcp 100.96.0.1:443 > 100.64.2.8:1000
