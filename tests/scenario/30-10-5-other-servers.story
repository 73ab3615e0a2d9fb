# spec 30 §10.5, item 58: other servers empty the cache; the same in another order do not
interface do53 192.0.2.1 192.0.2.2
app asks A www.example.org
=> upstream *
upstream 192.0.2.1 answers NOERROR | @ 300 A 198.51.100.1
=> app hears *
interface do53 192.0.2.3
app asks A www.example.org at 100.100.111.3
=> upstream 192.0.2.3 *
