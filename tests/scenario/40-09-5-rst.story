# spec 40 §9.5, item 50: RST of either side ends a session with the next tick
resource app dns app.example.com
other client alice
portal grants app to alice
ignore gateway resolves *
alice sends assigned app app.example.com 100.96.0.1
site says app.example.com 10.9.0.5
=> alice gets status *
alice sends tcp 1000 > 100.96.0.1:443 syn
=> lan gets tcp *
lan sends tcp 10.9.0.5:443 > 100.64.2.8:1000 rst
=> alice gets tcp *
wait 2s
lan sends tcp 10.9.0.5:443 > 100.64.2.8:1000
=> nothing
alice sends tcp 2000 > 100.96.0.1:443 syn
=> lan gets tcp *
lan replies
=> alice gets tcp *
alice sends tcp 2000 > 100.96.0.1:443 rst
=> lan gets tcp *
wait 2s
lan sends tcp 10.9.0.5:443 > 100.64.2.8:2000
=> nothing
