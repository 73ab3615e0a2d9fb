# spec 30 §10.1: portal Do53 that names only sentinels is an empty list: the next source counts
system 192.0.2.53
interface do53 100.100.111.9
=> sentinels 100.100.111.1=192.0.2.53
