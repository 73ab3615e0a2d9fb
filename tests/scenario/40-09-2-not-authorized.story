# spec 40 §9.2, item 41: a resource that the client may not use: Inactive at once, nobody is asked
resource app dns app.example.com
resource db dns db.example.com
other client alice
portal grants app to alice
alice sends assigned db db.example.com 100.96.0.1
=> alice gets status db db.example.com Inactive
