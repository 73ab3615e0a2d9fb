# spec 40 §9.2: what cannot be decoded gets no reply
resource app dns app.example.com
other client alice
portal grants app to alice
alice sends control 0 {"resource":"00000000-0000-0000-0000-000000000001","domain":"app.example.com","proxy_ips":["100.96.0.1"]
=> nothing
alice sends control 0 {"resource":"nonsense","domain":"app.example.com","proxy_ips":["100.96.0.1"]}
=> nothing
alice sends control 0 {"resource":"00000000-0000-0000-0000-000000000001","domain":"app.example.com","proxy_ips":["100.96.0"]}
=> nothing
alice sends control 0 {"resource":"00000000-0000-0000-0000-000000000001","proxy_ips":["100.96.0.1"]}
=> nothing
alice sends control 0
=> nothing
