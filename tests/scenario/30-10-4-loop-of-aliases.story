# spec 30 §10.4, item 54: a loop of aliases is the server's answer, and harms nobody
system 192.0.2.53
app asks A a.example.org
=> upstream *
upstream 192.0.2.53 answers NOERROR | @ 300 CNAME b.example.org | b.example.org 300 CNAME @ | b.example.org 300 CNAME a.example.org
=> app hears 1 NOERROR *
