# spec 40 §9.4, item 48: a name that moves takes new flows along, running ones stay, also when it vanishes
resource app dns app.example.com
other client alice
portal grants app to alice
ignore gateway resolves *
alice sends assigned app app.example.com 100.96.0.1
site says app.example.com 10.9.0.5
=> alice gets status *
alice sends tcp 1000 > 100.96.0.1:443 syn
=> lan gets tcp * > 10.9.0.5:443
alice sends assigned app app.example.com 100.96.0.1
site says app.example.com 10.9.0.6
=> alice gets status *
alice sends tcp 1000 > 100.96.0.1:443
=> lan gets tcp 100.64.2.8:1000 > 10.9.0.5:443
alice sends tcp 1001 > 100.96.0.1:443 syn
=> lan gets tcp 100.64.2.8:1001 > 10.9.0.6:443
alice sends assigned app app.example.com 100.96.0.1
site says app.example.com nothing
=> alice gets status *
alice sends tcp 1000 > 100.96.0.1:443
=> lan gets tcp 100.64.2.8:1000 > 10.9.0.5:443
alice sends tcp 1002 > 100.96.0.1:443 syn
=> alice gets icmp 3/0 *
