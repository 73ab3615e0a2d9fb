# spec 40 §9.5: TCP, UDP and echo are translated both ways, checksums right; other traffic of the real address is not the client's
resource app dns app.example.com
other client alice
portal grants app to alice
ignore gateway resolves *
alice sends assigned app app.example.com 100.96.0.1 fd00:2021:1111:8000::
site says app.example.com 10.9.0.5 2001:db8::5
=> alice gets status *
alice sends tcp 1000 > 100.96.0.1:443 syn
=> lan gets tcp 100.64.2.8:1000 > 10.9.0.5:443
lan replies
=> alice gets tcp 100.96.0.1:443 > 100.64.2.8:1000
alice sends echo > 100.96.0.1 id 77
=> lan gets echo 100.64.2.8 > 10.9.0.5 id 77
lan replies
=> alice gets echo 100.96.0.1 > 100.64.2.8 id 77
alice sends udp 53 > [fd00:2021:1111:8000::]:5000
=> lan gets udp [fd00:2021:1111::2:8]:53 > [2001:db8::5]:5000
lan replies
=> alice gets udp [fd00:2021:1111:8000::]:5000 > [fd00:2021:1111::2:8]:53
alice sends udp 1000 > 10.9.0.5:443
=> alice gets icmp 3/13 10.9.0.5 > 100.64.2.8 *
lan sends udp 10.9.0.5:9 > 100.64.2.8:9999
=> nothing
