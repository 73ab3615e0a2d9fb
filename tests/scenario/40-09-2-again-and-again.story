# spec 40 §9.2: repeated assignments of a name under way are one question, and the latest addresses count
resource app dns app.example.com
other client alice
portal grants app to alice
alice sends assigned app app.example.com 100.96.0.1
=> gateway resolves app.example.com
alice sends assigned app APP.example.com 100.96.0.2
=> nothing
site says app.example.com 10.9.0.5
=> alice gets status app APP.example.com Active
alice sends udp 1000 > 100.96.0.1:443
=> alice gets icmp 3/13 *
alice sends udp 1000 > 100.96.0.2:443
=> lan gets udp 100.64.2.8:1000 > 10.9.0.5:443
