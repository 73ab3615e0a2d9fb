# spec 30 §8.1, item 40: ** as the last label is one or more labels
system 192.0.2.53
resource app dns corp.**
app asks A corp.example
=> app hears * | @ 1 A 100.96.0.1 *
app asks A corp.a.example
=> app hears * | @ 1 A 100.96.0.5 *
app asks A corp
=> upstream 192.0.2.53 udp gets rd A corp
