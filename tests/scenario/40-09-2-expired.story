# spec 40 §9.2, item 41: access that is over is no access
resource app dns app.example.com
resource db dns db.example.com
other client alice
portal grants app to alice for 60s
portal grants db to alice
wait 61s
alice sends assigned app app.example.com 100.96.0.1
=> alice gets status app app.example.com Inactive
