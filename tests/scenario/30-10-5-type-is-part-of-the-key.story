# spec 30 §10.5, item 58: an answer is kept for its type only, but for every server and class
interface do53 192.0.2.1 192.0.2.2
app asks A www.example.org
=> upstream 192.0.2.1 *
upstream 192.0.2.1 answers NOERROR | @ 300 A 198.51.100.1
=> app hears *
app asks AAAA www.example.org
=> upstream 192.0.2.1 udp gets rd AAAA www.example.org
app asks A www.example.org at 100.100.111.2 flags cd
=> app hears 1 NOERROR * | @ 300 A 198.51.100.1
