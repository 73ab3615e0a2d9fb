# spec 30 §10.1, item 50: servers keep their order
interface do53 192.0.2.9 192.0.2.1 192.0.2.5
=> sentinels 100.100.111.1=192.0.2.9 100.100.111.2=192.0.2.1 100.100.111.3=192.0.2.5
