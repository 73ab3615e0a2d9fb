# spec 40 §9.3: the hosts file is asked first, and localhost is known without asking
resolver server 192.0.2.10
resolver hosts 10.9.0.7 app.example.com
resolver hosts 2001:db8::7 app.example.com
resource app dns *.example.com
resource local dns *.localhost
other client alice
portal grants app to alice
portal grants local to alice
alice sends assigned app app.example.com 100.96.0.1 fd00:2021:1111:8000::
=> gateway resolves app.example.com
=> alice gets status app app.example.com Active
alice sends udp 1000 > 100.96.0.1:443
=> lan gets udp * > 10.9.0.7:443
alice sends udp 1000 > [fd00:2021:1111:8000::]:443
=> lan gets udp * > [2001:db8::7]:443
alice sends assigned local app.localhost 100.96.0.9
=> gateway resolves app.localhost
=> alice gets status local app.localhost Active
alice sends udp 1000 > 100.96.0.9:443
=> alice gets icmp 3/0 *
