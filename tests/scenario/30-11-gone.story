# spec 30 §11, item 57: the answer for a connection that is gone goes nowhere
system 192.0.2.53
app dials c1
app asks A a.example.org id 5 on c1
=> upstream 192.0.2.53 tcp gets rd A a.example.org
app hangs up c1
upstream 192.0.2.53 answers NOERROR | @ 60 A 198.51.100.1
=> nothing
