# spec 30 §8.1, item 40: * is any characters of one label, none included, and does not cross a dot
system 192.0.2.53
resource app dns web*.example.com
app asks A web.example.com
=> app hears * | @ 1 A 100.96.0.1 *
app asks A web-17.example.com
=> app hears * | @ 1 A 100.96.0.5 *
app asks A web.a.example.com
=> upstream 192.0.2.53 udp gets rd A web.a.example.com
