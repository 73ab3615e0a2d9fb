# spec 40 §9.5, item 50: an idle TCP session that was answered lives 2 h 4 min
resource app dns app.example.com
other client alice
portal grants app to alice
ignore gateway resolves *
alice sends assigned app app.example.com 100.96.0.1
site says app.example.com 10.9.0.5
=> alice gets status *
alice sends tcp 1000 > 100.96.0.1:443 syn
=> lan gets tcp *
lan replies
=> alice gets tcp *
wait 123min
lan sends tcp 10.9.0.5:443 > 100.64.2.8:1000
=> alice gets tcp 100.96.0.1:443 > 100.64.2.8:1000
wait 125min
lan sends tcp 10.9.0.5:443 > 100.64.2.8:1000
=> nothing
