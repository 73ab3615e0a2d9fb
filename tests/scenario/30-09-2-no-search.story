# spec 30 §9.2, item 49: the search domain is for the system to apply, a single label is forwarded as it is
interface do53 192.0.2.1 search example.com
resource app dns app.example.com
=> sentinels 100.100.111.1=192.0.2.1 search example.com
app asks A app
=> upstream 192.0.2.1 udp gets rd A app
