# spec 30 §10.1, item 50: sentinels among servers are our own, come back from the system, and are taken out
system 100.100.111.1 192.0.2.53 fd00:2021:1111:8000:100:100:111:7 100.100.111.255
=> sentinels 100.100.111.1=192.0.2.53
interface do53 100.100.111.9 192.0.2.1
=> sentinels 100.100.111.2=192.0.2.1
