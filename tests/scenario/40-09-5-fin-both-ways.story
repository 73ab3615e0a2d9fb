# spec 40 §9.5, item 50: FIN of both sides: 5 s later the session is gone; of one side: it lives
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
alice sends tcp 1000 > 100.96.0.1:443 fin ack
=> lan gets tcp *
wait 1min
lan sends tcp 10.9.0.5:443 > 100.64.2.8:1000
=> alice gets tcp *
lan sends tcp 10.9.0.5:443 > 100.64.2.8:1000 fin ack
=> alice gets tcp *
wait 4s
lan sends tcp 10.9.0.5:443 > 100.64.2.8:1000
=> alice gets tcp *
wait 7s
lan sends tcp 10.9.0.5:443 > 100.64.2.8:1000
=> nothing
