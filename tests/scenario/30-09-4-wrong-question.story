# spec 30 §9.4: another question, or ID, is not the site's answer; the right one still counts
system 192.0.2.53
resource app dns *.example.com
app asks TXT app.example.com id 9
=> portal gets create_flow app
portal creates app
=> lan gets dns udp * rd TXT app.example.com
lan answers NOERROR question TXT db.example.com | @ 60 TXT no
=> nothing
lan answers NOERROR id wrong | @ 60 TXT no
=> nothing
lan answers NOERROR | @ 60 TXT yes
=> app hears 9 NOERROR * | @ 60 TXT yes
