# spec 40 §9.5, item 50: a session that was never answered lives 60 s after its last packet, TCP as well
resource app dns app.example.com
other client alice
portal grants app to alice
ignore gateway resolves *
alice sends assigned app app.example.com 100.96.0.1
site says app.example.com 10.9.0.5
=> alice gets status *
alice sends tcp 1000 > 100.96.0.1:443 syn
=> lan gets tcp *
wait 50s
alice sends tcp 1000 > 100.96.0.1:443 syn
=> lan gets tcp *
wait 58s
lan sends tcp 10.9.0.5:443 > 100.64.2.8:1000
=> alice gets tcp 100.96.0.1:443 > 100.64.2.8:1000
alice sends tcp 2000 > 100.96.0.1:443 syn
=> lan gets tcp *
wait 62s
lan sends tcp 10.9.0.5:443 > 100.64.2.8:2000
=> nothing
