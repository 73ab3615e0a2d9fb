# spec 30 §10.2, item 58: a query for a server that is no more ends with SERVFAIL
system 192.0.2.53
app asks A www.example.org id 5
=> upstream *
system none
=> app hears 5 SERVFAIL *
