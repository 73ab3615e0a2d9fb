# spec 30 §10.5, item 58: a kept answer has the new ID and question, the answer records only, and TTLs less the time that passed
system 192.0.2.53
app asks A www.example.org id 1
=> upstream *
upstream 192.0.2.53 answers NOERROR aa | @ 300 CNAME web.example.org | web.example.org 60 A 198.51.100.1 | authority example.org 900 NS ns.example.org
=> app hears 1 NOERROR *
wait 17s
app asks A WWW.example.ORG id 2
=> app hears 2 NOERROR * A WWW.example.ORG | @ 283 CNAME web.example.org | web.example.org 43 A 198.51.100.1
