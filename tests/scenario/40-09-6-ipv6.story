# spec 40 §9.6, item 53: ICMPv6: packet too big and unreachable
resource app dns app.example.com
other client alice
portal grants app to alice
ignore gateway resolves *
alice sends assigned app app.example.com fd00:2021:1111:8000::
site says app.example.com 2001:db8::5
=> alice gets status *
alice sends udp 1000 > [fd00:2021:1111:8000::]:443
=> lan gets udp *
lan sends icmp 2/0 2001:db8::1 > fd00:2021:1111::2:8 about udp [fd00:2021:1111::2:8]:1000 > [2001:db8::5]:443
=> alice gets icmp 2/0 fd00:2021:1111:8000:: > fd00:2021:1111::2:8 about udp [fd00:2021:1111::2:8]:1000 > [fd00:2021:1111:8000::]:443
lan sends icmp 1/4 2001:db8::5 > fd00:2021:1111::2:8 about udp [fd00:2021:1111::2:8]:1000 > [2001:db8::5]:443
=> alice gets icmp 1/4 fd00:2021:1111:8000:: *
