# spec 40 §9.2, item 41: at most 250 questions of one client wait, further ones are dropped without a status
resource app dns *.example.com
other client alice
portal grants app to alice
ignore gateway resolves *
repeat 251 alice sends assigned app n%.example.com 100.96.0.%
site says n250.example.com 10.9.0.5
=> alice gets status app n250.example.com Active
site says n1.example.com 10.9.0.6
=> alice gets status app n1.example.com Active
alice sends assigned app n251.example.com 100.96.0.251
site says n251.example.com 10.9.0.5
=> alice gets status app n251.example.com Active
