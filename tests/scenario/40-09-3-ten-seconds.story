# spec 40 §9.3, item 43: ten seconds without an answer are Inactive and change nothing
resource app dns app.example.com
other client alice
portal grants app to alice
alice sends assigned app app.example.com 100.96.0.1
=> gateway resolves app.example.com
site says app.example.com 10.9.0.5
=> alice gets status app app.example.com Active
alice sends assigned app app.example.com 100.96.0.1
=> gateway resolves app.example.com
wait 9900ms
=> nothing
wait 100ms
=> alice gets status app app.example.com Inactive
site says app.example.com 10.9.0.6
=> nothing
alice sends udp 1000 > 100.96.0.1:443
=> lan gets udp 100.64.2.8:1000 > 10.9.0.5:443
