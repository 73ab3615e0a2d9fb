# spec 30 §10.4: a server that says nothing for 5 s: SERVFAIL rather than silence
system 192.0.2.53
ignore upstream 192.0.2.53 udp gets rd A www.example.org
app asks A www.example.org id 5
wait 4900ms
=> nothing
wait 100ms
=> app hears 5 SERVFAIL qr,rd A www.example.org
upstream 192.0.2.53 answers NOERROR | @ 300 A 198.51.100.1
=> nothing
