# spec 40 §9.1, item 40: unknown events, and those for the other side, are ignored and never reach the TUN
resource app dns app.example.com
other client alice
portal grants app to alice
alice sends control 9 {}
=> nothing
alice sends control 255
=> nothing
alice sends status app app.example.com Active
=> nothing
