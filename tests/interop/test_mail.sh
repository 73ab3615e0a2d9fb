#!/bin/bash
# The portal's mail against a real SMTP server (aiosmtpd: plain, STARTTLS with login, implicit TLS) and by a real sendmail (msmtp) into it: what arrives,
# and what becomes of refused, deferred and interrupted mails (spec 60 §0.2, §3.4, §12).
#
# packages: /usr/lib/python3/dist-packages/aiosmtpd:python3-aiosmtpd openssl:openssl /usr/bin/msmtp:msmtp
# timeout: 180
set -u
cd "$(dirname "$0")/../.."
driver=${INTEROP_BIN:-$PWD/build/static/tests/interop}/mail_driver
work=${SCRATCH:-$(mktemp -d)}
pids=

cleanup() {
	for p in $pids; do kill "$p" 2>/dev/null; done
	[ -n "${SCRATCH:-}" ] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fail() { echo "not ok mail_setup: $1"; exit 1; }

wait_for() { # wait_for LOG PATTERN [SECONDS]
	for _ in $(seq $((${3:-20} * 20))); do
		grep -qE -- "$2" "$1" 2>/dev/null && return 0
		sleep 0.05
	done
	return 1
}

check() { # check NAME LOG PATTERN
	if wait_for "$2" "$3"; then echo "ok $1"; else echo "not ok $1: no '$3'"; sed 's/^/    /' "$2"; fi
}

python=/usr/bin/python3
export PYTHONUTF8=1
$python -c 'import aiosmtpd' 2>/dev/null || { echo "skip mail: aiosmtpd is not installed"; exit 0; }
mkdir -p "$work/mails"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -days 2 \
	-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1,DNS:localhost 2>/dev/null || fail openssl
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$work/other.key" -out "$work/other.pem" -days 2 \
	-subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null || fail openssl
$python tests/interop/mail_server.py "$work/mails" "$work/cert.pem" "$work/key.pem" >"$work/server.log" 2>&1 </dev/null &
pids="$pids $!"
wait_for "$work/server.log" '^listening' || { sed 's/^/    /' "$work/server.log"; fail "the mail server does not listen"; }
port_of() { sed -n "s/^$1 //p" "$work/server.log"; }
plain=$(port_of plain) starttls=$(port_of starttls) tls=$(port_of tls)

run_driver() { # run_driver NAME TRANSPORT CA: reads commands from descriptor 9
	mkfifo "$work/$1.in"
	"$driver" "$work/$1.db" "$2" "$3" portal@acme.example <"$work/$1.in" >"$work/$1.log" 2>&1 &
	last=$!
	pids="$pids $last"
	exec 9>"$work/$1.in"
	wait_for "$work/$1.log" '^ready' || { sed 's/^/    /' "$work/$1.log"; fail "the driver does not start ($1)"; }
}
end_driver() {
	exec 9>&-
	wait "$last"
}
say() { echo "$*" >&9; }
mail_to() { grep -lE "^envelope [^ ]+ $1" "$work"/mails/*.eml 2>/dev/null | head -n 1; }

# --- the ways in --------------------------------------------------------------------------------------------------------------------------------
run_driver plain "smtp://127.0.0.1:$plain" -
say send plain@acme.example
check mail_plain "$work/plain.log" 'queued=0 sent=plain@acme.example'
say test "tester@acme.example"
check mail_test "$work/plain.log" '^test 0 250 2.0.0 kept as'
say send "jö@acme.example"
check mail_smtputf8 "$work/plain.log" 'sent=jö@acme.example'

# --- what passes and what does not ------------------------------------------------------------------------------------------------------------
say test refuse@acme.example
check mail_test_refused "$work/plain.log" '^test -[0-9]+ 550 5.1.1 no such user here'
say test die@acme.example
check mail_test_interrupted "$work/plain.log" '^test -[0-9]+ .*(closed the connection|421)'
say send refuse@acme.example
check mail_refused_is_over "$work/plain.log" 'queued=0 .*failed=refuse@acme.example 550 5.1.1'
say send defer@acme.example
check mail_deferred_waits "$work/plain.log" 'queued=1 .*failed=defer@acme.example 451 4.7.1'
say send die@acme.example
check mail_interrupted_waits "$work/plain.log" 'queued=2 .*failed=die@acme.example'
say send after@acme.example
check mail_others_go_on "$work/plain.log" 'sent=after@acme.example'
end_driver
mv "$work/plain.log" "$work/before.log"
rm -f "$work/plain.in"
run_driver plain "smtp://127.0.0.1:$plain" -
check mail_queue_survives_a_restart "$work/plain.log" '^status queued=2 '
end_driver

# --- TLS -------------------------------------------------------------------------------------------------------------------------------------------
run_driver starttls "smtp://jo:s3cret@localhost:$starttls?starttls" "$work/cert.pem"
say send starttls@acme.example
check mail_starttls_login "$work/starttls.log" 'queued=0 sent=starttls@acme.example'
end_driver
run_driver tls "smtps://jo:s3cret@127.0.0.1:$tls" "$work/cert.pem"
say send tls@acme.example
check mail_tls_login "$work/tls.log" 'queued=0 sent=tls@acme.example'
end_driver
run_driver wrong "smtps://jo:wrong@127.0.0.1:$tls" "$work/cert.pem"
say test tls@acme.example
check mail_wrong_password "$work/wrong.log" '^test -[0-9]+ the mail server does not accept our user and password: 535'
end_driver
run_driver stranger "smtps://jo:s3cret@localhost:$tls" "$work/other.pem"
say test stranger@acme.example
check mail_foreign_certificate "$work/stranger.log" '^test -[0-9]+ no TLS with localhost'
end_driver
run_driver stripped "smtp://jo:s3cret@localhost:$plain?starttls" "$work/cert.pem"
say test stripped@acme.example
check mail_starttls_is_required "$work/stripped.log" '^test -[0-9]+ the mail server does not offer STARTTLS'
end_driver
run_driver nobody "smtp://127.0.0.1:1" -
say send nobody@acme.example
check mail_no_server "$work/nobody.log" 'queued=1 .*no connection to 127.0.0.1 port 1: refused'
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
	check mail_by_sendmail "$work/sendmail.log" 'queued=0 sent=sendmail@acme.example'
	say test refuse@acme.example
	check mail_by_sendmail_says_why "$work/sendmail.log" '^test -[0-9]+ /usr/bin/msmtp ended with status [0-9]+: .*550'
	end_driver
else
	echo "skip mail_by_sendmail: msmtp is not installed"
fi

# --- what arrived, read by somebody else's parser --------------------------------------------------------------------------------------------------------
for to in plain starttls tls sendmail jö after; do
	file=$(mail_to "$to@acme.example")
	[ -n "$file" ] || { [ "$to" = sendmail ] && [ ! -x /usr/bin/msmtp ] || echo "not ok mail_arrived_$to"; continue; }
	$python - "$file" "$to@acme.example" <<'END' && echo "ok mail_arrived_$to" || echo "not ok mail_arrived_$to"
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
done

# --- codes are not kept ------------------------------------------------------------------------------------------------------------------------------------
if grep -qa c0de42 "$work/starttls.db" "$work/tls.db" "$work"/starttls.db-wal "$work"/tls.db-wal 2>/dev/null; then
	echo "not ok mail_codes_are_wiped"
else
	echo "ok mail_codes_are_wiped"
fi
grep -q s3cret "$work"/*.log && echo "not ok mail_passwords_are_not_logged" || echo "ok mail_passwords_are_not_logged"
