# spec 40 §9.5: an echo reply of the site finds its session, an echo request of the site does not
resource app dns app.example.com
other client alice
portal grants app to alice
ignore gateway resolves *
alice sends assigned app app.example.com 100.96.0.1
site says app.example.com 10.9.0.5
=> alice gets status *
alice sends echo > 100.96.0.1 id 9
=> lan gets echo 100.64.2.8 > 10.9.0.5 id 9
lan sends echo reply 10.9.0.5 > 100.64.2.8 id 9
=> alice gets echo 100.96.0.1 > 100.64.2.8 id 9
lan sends echo reply 10.9.0.5 > 100.64.2.8 id 10
=> nothing
