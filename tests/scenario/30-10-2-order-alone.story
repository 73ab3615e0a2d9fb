# spec 30 §10.2, item 52: another order of the same servers changes nothing
interface do53 192.0.2.1 192.0.2.2
=> sentinels 100.100.111.1=192.0.2.1 100.100.111.2=192.0.2.2
interface do53 192.0.2.2 192.0.2.1
=> sentinels 100.100.111.1=192.0.2.1 100.100.111.2=192.0.2.2
