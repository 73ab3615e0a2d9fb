# spec 30 §10.4: an answer that comes after a repeated question still counts
system 192.0.2.53
ignore upstream *
app asks A www.example.org id 5
wait 4s
upstream 192.0.2.53 answers NOERROR | @ 300 A 198.51.100.1
=> app hears 5 NOERROR *
