# spec 30 §8.1: names are not converted: a Unicode pattern matches no punycode query
system 192.0.2.53
resource app dns bücher.example
app asks A xn--bcher-kva.example
=> upstream 192.0.2.53 udp gets rd A xn--bcher-kva.example
