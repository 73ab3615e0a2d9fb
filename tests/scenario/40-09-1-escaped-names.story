# spec 40 §9.1, item 40: names with escapes come through JSON as they are
resource app dns **.example.com
other client alice
portal grants app to alice
alice sends assigned app a\.b.example.com 100.96.0.1
=> gateway resolves a\.b.example.com
site says a\.b.example.com 10.9.0.1
=> alice gets status app a\.b.example.com Active
