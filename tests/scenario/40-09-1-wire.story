# spec 40 §9.1, item 40: members in any order, unknown ones and trailing reserved bytes do not matter
resource app dns app.example.com
other client alice
portal grants app to alice
alice sends control 0 {"proxy_ips":["100.96.0.1","fd00:2021:1111:8000::"],"hue":[1,{}],"domain":"app.example.com","resource":"00000000-0000-0000-0000-000000000001"}
=> gateway resolves app.example.com
site says app.example.com 10.9.0.5 2001:db8::5
=> alice gets status app app.example.com Active
alice sends udp 1000 > 100.96.0.1:443
=> lan gets udp 100.64.2.8:1000 > 10.9.0.5:443
