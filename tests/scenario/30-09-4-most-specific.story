# spec 30 §9.4, item 47: the resource with the most specific pattern is asked, of equal ones that with the greater id
system 192.0.2.53
resource exact dns app.example.com
resource wide dns *.example.com
resource twin dns *.example.com
app asks TXT app.example.com
=> portal gets create_flow exact
app asks TXT db.example.com
=> portal gets create_flow twin
