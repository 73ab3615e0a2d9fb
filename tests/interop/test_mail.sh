#!/bin/bash
# The portal's mail against a real SMTP server (aiosmtpd: plain, STARTTLS with login, implicit TLS) and by a real sendmail (msmtp) into it: what arrives,
# and what becomes of refused, deferred and interrupted mails (spec 60 §0.2, §3.4, §12).
#
# packages: /usr/lib/python3/dist-packages/aiosmtpd:python3-aiosmtpd openssl:openssl /usr/bin/msmtp:msmtp
# timeout: 500
. "$(dirname "$0")/lib.sh"
needs_driver mail_driver

python=/usr/bin/python3
export PYTHONUTF8=1
$python -c 'import aiosmtpd' 2>/dev/null || { skip mail "aiosmtpd is not installed" && finish; }
mkdir -p "$work/mails"
certificate IP:127.0.0.1,DNS:localhost
certificate DNS:localhost other.key other.pem
launch server $python tests/interop/mail_server.py "$work/mails" "$work/cert.pem" "$work/key.pem"
must wait_log server '^listening'
port_of() { sed -n "s/^$1 //p" "$work/server.log"; }
plain=$(port_of plain) starttls=$(port_of starttls) tls=$(port_of tls)

run_driver() { # run_driver NAME TRANSPORT CA: reads commands from descriptor 9
	mkfifo "$work/$1.in"
	"$driver" "$work/$1.db" "$2" "$3" portal@acme.example <"$work/$1.in" >"$work/$1.log" 2>&1 &
	PIDS[$1]=$! running=$1
	exec 9>"$work/$1.in"
	must wait_log "$1" '^ready'
}
end_driver() {
	exec 9>&-
	wait "${PIDS[$running]}"
	unset "PIDS[$running]"
}
say() { echo "$*" >&9; }
mail_to() { grep -lE "^envelope [^ ]+ $1" "$work"/mails/*.eml 2>/dev/null | head -n 1; }

# --- the ways in --------------------------------------------------------------------------------------------------------------------------------
run_driver plain "smtp://127.0.0.1:$plain" -
say send plain@acme.example
check_log mail_plain plain 'queued=0 sent=plain@acme.example'
say test "tester@acme.example"
check_log mail_test plain '^test 0 250 2.0.0 kept as'
say send "jö@acme.example"
check_log mail_smtputf8 plain 'sent=jö@acme.example'

# --- what passes and what does not ------------------------------------------------------------------------------------------------------------
say test refuse@acme.example
check_log mail_test_refused plain '^test -[0-9]+ 550 5.1.1 no such user here'
say test die@acme.example
check_log mail_test_interrupted plain '^test -[0-9]+ .*(closed the connection|421)'
say send refuse@acme.example
check_log mail_refused_is_over plain 'queued=0 .*failed=refuse@acme.example 550 5.1.1'
say send defer@acme.example
check_log mail_deferred_waits plain 'queued=1 .*failed=defer@acme.example 451 4.7.1'
say send die@acme.example
check_log mail_interrupted_waits plain 'queued=2 .*failed=die@acme.example'
say send after@acme.example
check_log mail_others_go_on plain 'sent=after@acme.example'
end_driver
mv "$work/plain.log" "$work/before.log"
rm -f "$work/plain.in"
run_driver plain "smtp://127.0.0.1:$plain" -
check_log mail_queue_survives_a_restart plain '^status queued=2 '
end_driver

# --- TLS -------------------------------------------------------------------------------------------------------------------------------------------
run_driver starttls "smtp://jo:s3cret@localhost:$starttls?starttls" "$work/cert.pem"
say send starttls@acme.example
check_log mail_starttls_login starttls 'queued=0 sent=starttls@acme.example'
end_driver
run_driver tls "smtps://jo:s3cret@127.0.0.1:$tls" "$work/cert.pem"
say send tls@acme.example
check_log mail_tls_login tls 'queued=0 sent=tls@acme.example'
end_driver
run_driver wrong "smtps://jo:wrong@127.0.0.1:$tls" "$work/cert.pem"
say test tls@acme.example
check_log mail_wrong_password wrong '^test -[0-9]+ the mail server does not accept our user and password: 535'
end_driver
run_driver stranger "smtps://jo:s3cret@localhost:$tls" "$work/other.pem"
say test stranger@acme.example
check_log mail_foreign_certificate stranger '^test -[0-9]+ no TLS with localhost'
end_driver
run_driver stripped "smtp://jo:s3cret@localhost:$plain?starttls" "$work/cert.pem"
say test stripped@acme.example
check_log mail_starttls_is_required stripped '^test -[0-9]+ the mail server does not offer STARTTLS'
end_driver
run_driver nobody "smtp://127.0.0.1:1" -
say send nobody@acme.example
check_log mail_no_server nobody 'queued=1 .*no connection to 127.0.0.1 port 1: refused'
end_driver

# --- a real sendmail ---------------------------------------------------------------------------------------------------------------------------------
cat >"$work/msmtprc" <<END
account default
host 127.0.0.1
port $plain
tls off
auth off
syslog off
END
chmod 600 "$work/msmtprc"
export HOME=$work
cp "$work/msmtprc" "$work/.msmtprc"
if [ -x /usr/bin/msmtp ]; then
	run_driver sendmail "sendmail:/usr/bin/msmtp" -
	say send sendmail@acme.example
	check_log mail_by_sendmail sendmail 'queued=0 sent=sendmail@acme.example'
	say test refuse@acme.example
	check_log mail_by_sendmail_says_why sendmail '^test -[0-9]+ /usr/bin/msmtp ended with status [0-9]+: .*550'
	end_driver
else
	skip mail_by_sendmail "msmtp is not installed"
fi

# --- what arrived, read by somebody else's parser --------------------------------------------------------------------------------------------------------
for to in plain starttls tls sendmail jö after; do
	file=$(mail_to "$to@acme.example")
	[ -n "$file" ] || { [ "$to" = sendmail ] && [ ! -x /usr/bin/msmtp ] || not_ok "mail_arrived_$to"; continue; }
	$python - "$file" "$to@acme.example" >"$work/parsed" 2>&1 <<'END'
import email, email.policy, sys
head, raw = open(sys.argv[1], "rb").read().split(b"\r\n", 1)
m = email.message_from_bytes(raw, policy=email.policy.default.clone(utf8=True))
assert head.decode() == "envelope portal@acme.example " + sys.argv[2], head
assert not m.defects and not any(p.defects for p in m.walk()), m.defects
assert str(m["to"]).strip("<>") == sys.argv[2], m["to"]
assert m["subject"] == "Your sign-in code for Café Acme", m["subject"]
assert m["auto-submitted"] == "auto-generated" and m["message-id"].endswith("@acme.example>")
assert abs(m["date"].datetime.timestamp() - __import__("time").time()) < 600
text, html = m.get_body(("plain",)).get_content(), m.get_body(("html",)).get_content()
assert "    c0de42\n" in text.replace("\r", "") and "https://portal.example/acme/verify?secret=c0de42" in text, text
assert "Café Acme" in text and "c0de42" in html and "192.0.2.1" in html
assert len(m.get_all("from")) == len(m.get_all("to")) == 1
END
	verdict "mail_arrived_$to" $? "$work/parsed"
done

# --- codes are not kept ------------------------------------------------------------------------------------------------------------------------------------
mentions() { grep -qa "$@" 2>/dev/null; }
! mentions c0de42 "$work/starttls.db" "$work/tls.db" "$work"/starttls.db-wal "$work"/tls.db-wal
verdict mail_codes_are_wiped $?
! mentions s3cret "$work"/*.log
verdict mail_passwords_are_not_logged $?
finish
