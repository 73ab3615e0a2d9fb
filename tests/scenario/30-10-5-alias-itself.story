# spec 30 §10.5, item 58: asked for the alias itself, the alias is kept
system 192.0.2.53
app asks CNAME www.example.org
=> upstream *
upstream 192.0.2.53 answers NOERROR | @ 300 CNAME web.example.org
=> app hears *
app asks CNAME www.example.org
=> app hears 1 NOERROR * | @ 300 CNAME web.example.org
