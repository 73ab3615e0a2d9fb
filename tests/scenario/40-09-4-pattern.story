# spec 40 §9.4, item 47: the name must match the pattern, by the same rules as on the client; before the site is asked
resource exact dns app.example.com
resource star dns *.example.net
resource mark dns a?.example.org
resource glued dns a**.example.info
other client alice
portal grants exact to alice
portal grants star to alice
portal grants mark to alice
portal grants glued to alice
alice sends assigned exact db.example.com 100.96.0.1
=> alice gets status exact db.example.com Inactive
alice sends assigned star example.net 100.96.0.2
=> gateway resolves example.net
site says example.net 10.9.0.1
=> alice gets status star example.net Active
alice sends assigned star a.b.example.net 100.96.0.3
=> alice gets status star a.b.example.net Inactive
alice sends assigned mark ab.example.org 100.96.0.4
=> gateway resolves ab.example.org
site says ab.example.org 10.9.0.1
=> alice gets status mark ab.example.org Active
alice sends assigned glued ab.example.info 100.96.0.5
=> alice gets status glued ab.example.info Inactive
