# spec 40 §9.3, item 43: a name without addresses is Active, too
resource app dns app.example.com
other client alice
portal grants app to alice
alice sends assigned app app.example.com 100.96.0.1 fd00:2021:1111:8000::
=> gateway resolves app.example.com
site says app.example.com nothing
=> alice gets status app app.example.com Active
alice sends udp 1000 > [fd00:2021:1111:8000::]:443
=> alice gets icmp 1/3 fd00:2021:1111:8000:: > fd00:2021:1111::2:8 about udp [fd00:2021:1111::2:8]:1000 > [fd00:2021:1111:8000::]:443
