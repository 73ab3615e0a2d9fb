# spec 30 §13, item 61: a reset ends queries that are under way: inside and outside SERVFAIL rather than silence
system 192.0.2.53
app asks A www.example.org id 5
=> upstream *
reset
=> app hears 5 SERVFAIL *
