# spec 30 §10.2, item 52: a server that is named twice has one sentinel
interface do53 192.0.2.1 192.0.2.1 192.0.2.2
=> sentinels 100.100.111.1=192.0.2.1 100.100.111.2=192.0.2.2
