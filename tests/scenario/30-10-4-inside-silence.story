# spec 30 §10.4: no answer through the tunnel for 10 s: SERVFAIL
interface do53 10.0.0.53
resource net cidr 10.0.0.0/8
app sends udp 1000 > 10.0.0.1:1
=> portal gets create_flow net
portal creates net
=> lan gets udp 100.64.0.7:1000 > 10.0.0.1:1
ignore lan gets dns udp *
app asks A www.example.org id 5
wait 9900ms
=> nothing
wait 100ms
=> app hears 5 SERVFAIL qr,rd A www.example.org
