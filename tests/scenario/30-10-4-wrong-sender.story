# spec 30 §10.4: an answer counts only from the server's address; the right one still does afterwards
system 192.0.2.53
app asks A www.example.org
=> upstream *
upstream 192.0.2.53 answers NOERROR from 192.0.2.66 | @ 300 A 203.0.113.6
=> nothing
upstream 192.0.2.53 answers NOERROR | @ 300 A 198.51.100.1
=> app hears 1 NOERROR * | @ 300 A 198.51.100.1
