# spec 40 §9.2: at most 16 proxy addresses in a message, equal ones count once
resource app dns app.example.com
other client alice
portal grants app to alice
alice sends control 0 {"resource":"00000000-0000-0000-0000-000000000001","domain":"app.example.com","proxy_ips":["100.96.0.1","100.96.0.2","100.96.0.3","100.96.0.4","100.96.0.5","100.96.0.6","100.96.0.7","100.96.0.8","100.96.0.9","100.96.0.10","100.96.0.11","100.96.0.12","100.96.0.13","100.96.0.14","100.96.0.15","100.96.0.16","100.96.0.17"]}
=> nothing
alice sends assigned app app.example.com 100.96.0.1 100.96.0.1 100.96.0.2
=> gateway resolves app.example.com
site says app.example.com 10.9.0.1 10.9.0.2 10.9.0.1
=> alice gets status *
alice sends udp 1 > 100.96.0.1:5
=> lan gets udp * > 10.9.0.1:5
alice sends udp 1 > 100.96.0.2:5
=> lan gets udp * > 10.9.0.2:5
