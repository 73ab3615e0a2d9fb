# spec 40 §9.5, item 56: a proxy address that was never assigned is prohibited, of both families
resource app dns app.example.com
other client alice
portal grants app to alice
alice sends tcp 1000 > 100.96.0.1:443 syn
=> alice gets icmp 3/13 100.96.0.1 > 100.64.2.8 about tcp 100.64.2.8:1000 > 100.96.0.1:443
alice sends echo > fd00:2021:1111:8000::
=> alice gets icmp 1/1 fd00:2021:1111:8000:: > fd00:2021:1111::2:8 about echo fd00:2021:1111::2:8 > fd00:2021:1111:8000:: id 1
