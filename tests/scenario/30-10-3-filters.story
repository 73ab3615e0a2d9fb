# spec 30 §10.3, item 53: the way is chosen without a look at filters; those that refuse DNS leave SERVFAIL
interface do53 10.0.0.53
resource net cidr 10.0.0.0/8 filters tcp/443
app asks A www.example.org
=> app hears 1 SERVFAIL qr,rd A www.example.org
