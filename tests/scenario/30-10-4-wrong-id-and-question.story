# spec 30 §10.4: answers with another ID or question, and what is no message, are not the answer
system 192.0.2.53
app asks A www.example.org
=> upstream *
upstream 192.0.2.53 answers NOERROR id wrong | @ 300 A 203.0.113.6
=> nothing
upstream 192.0.2.53 answers NOERROR question A bank.example.org | @ 300 A 203.0.113.6
=> nothing
upstream 192.0.2.53 answers NOERROR question AAAA www.example.org | @ 300 AAAA 2001:db8::6
=> nothing
upstream 192.0.2.53 answers NOERROR garbage
=> nothing
upstream 192.0.2.53 answers NOERROR | @ 300 A 198.51.100.1
=> app hears 1 NOERROR * | @ 300 A 198.51.100.1
