#!/bin/bash
# Our TLS against OpenSSL's, both directions: good, expired, not yet valid, wrong-name, self-signed and foreign certificates; EC and RSA;
# which versions and suites are spoken (core/http/tls.h).
#
# packages: openssl:openssl
# timeout: 500
#
# Our client is a link (phx_driver connect), which says why a connection failed; openssl s_server -www answers its upgrade with a page, so
# "the portal answered 200" means that TLS worked. Our server is phx_driver serve. All traffic stays on loopback.
. "$(dirname "$0")/lib.sh"
needs_driver phx_driver
PREFIX=tls_openssl_
CHECK_LINES=15
n=0

# --- certificates -----------------------------------------------------------------------------------------------------------------
new_key() { # new_key FILE ec|ec384|rsa
	case $2 in
	ec) openssl ecparam -name prime256v1 -genkey -noout -out "$1" ;;
	ec384) openssl ecparam -name secp384r1 -genkey -noout -out "$1" ;;
	rsa) openssl genrsa -out "$1" 2048 ;;
	esac 2>/dev/null
}

new_ca() { # new_ca NAME KIND
	new_key "$work/$1.key" "$2"
	openssl req -x509 -new -key "$work/$1.key" -subj "/CN=$1" -days 30 -out "$work/$1.pem" 2>/dev/null
}

# openssl ca can date a certificate as it likes; x509 cannot in older versions
leaf() { # leaf NAME KIND CA SAN START END
	new_key "$work/$1.key" "$2"
	openssl req -new -key "$work/$1.key" -subj "/CN=$1" -out "$work/$1.csr" 2>/dev/null
	mkdir -p "$work/ca.$1"
	: >"$work/ca.$1/index"
	cat >"$work/ca.$1/conf" <<-END
		[ca]
		default_ca = c
		[c]
		new_certs_dir = $work/ca.$1
		database = $work/ca.$1/index
		rand_serial = yes
		default_md = sha256
		policy = p
		x509_extensions = e
		[p]
		commonName = supplied
		[e]
		subjectAltName = $4
		basicConstraints = critical,CA:FALSE
	END
	openssl ca -batch -config "$work/ca.$1/conf" -cert "$work/$3.pem" -keyfile "$work/$3.key" -in "$work/$1.csr" -out "$work/$1.pem" \
		-notext -startdate "$5" -enddate "$6" >/dev/null 2>"$work/ca.$1/log" || { cat "$work/ca.$1/log"; exit 1; }
}

day() { date -u -d "$1" +%Y%m%d000000Z; }
from=$(day '-2 days') until=$(day '+20 days') here=IP:127.0.0.1,DNS:localhost
new_ca ca ec
new_ca rsaca rsa
new_ca foreign ec
leaf ec ec ca "$here" "$from" "$until"
leaf ec384 ec384 ca "$here" "$from" "$until"
leaf rsa rsa ca "$here" "$from" "$until"
leaf rsa_by_rsa rsa rsaca "$here" "$from" "$until"
leaf ec_by_rsa ec rsaca "$here" "$from" "$until"
leaf expired ec ca "$here" "$(day '-20 days')" "$(day '-2 days')"
leaf future ec ca "$here" "$(day '+2 days')" "$until"
leaf wrong ec ca DNS:other.example,IP:192.0.2.1 "$from" "$until"
new_key "$work/self.key" ec
openssl req -x509 -new -key "$work/self.key" -subj /CN=self -addext "subjectAltName=$here" -days 20 -out "$work/self.pem" 2>/dev/null

# --- our client, their server -------------------------------------------------------------------------------------------------------
client_sees() { # client_sees NAME CERT CA HOST PATTERN [s_server options]
	name=$1 cert=$2 ca=$3 host=$4 pattern=$5
	shift 5
	n=$((n + 1))
	for _ in 1 2 3 4 5; do
		port=$((20000 + RANDOM % 12000))
		launch "s$n" openssl s_server -accept "127.0.0.1:$port" -cert "$work/$cert.pem" -key "$work/$cert.key" -www "$@"
		wait_log "s$n" '^ACCEPT' 10 && break
		stop "s$n"
	done
	launch "c$n" "$driver" connect "wss://$host:$port/" "$work/$ca.pem"
	check_log "client_$name" "c$n" "$pattern"
	stop "c$n"
	stop "s$n"
}

fine='^disconnected the portal answered 200'
client_sees ec_by_address ec ca 127.0.0.1 "$fine"
client_sees ec_by_name ec ca localhost "$fine"
client_sees p384 ec384 ca 127.0.0.1 "$fine"
client_sees rsa rsa ca 127.0.0.1 "$fine"
client_sees rsa_signed_by_rsa rsa_by_rsa rsaca 127.0.0.1 "$fine"
client_sees ec_signed_by_rsa ec_by_rsa rsaca 127.0.0.1 "$fine"
client_sees chacha20 ec ca 127.0.0.1 "$fine" -tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305
client_sees aes128_gcm ec ca 127.0.0.1 "$fine" -tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256
client_sees aes256_gcm rsa ca 127.0.0.1 "$fine" -tls1_2 -cipher ECDHE-RSA-AES256-GCM-SHA384
client_sees self_signed_but_trusted self self 127.0.0.1 "$fine"
client_sees expired expired ca 127.0.0.1 '^disconnected .*expired'
client_sees not_yet_valid future ca 127.0.0.1 '^disconnected .*not yet valid'
client_sees wrong_address wrong ca 127.0.0.1 '^disconnected .*certificate.* 127\.0\.0\.1'
client_sees wrong_name wrong ca localhost '^disconnected .*certificate.* localhost'
client_sees self_signed self ca 127.0.0.1 '^disconnected .*self-signed'
client_sees foreign_authority ec foreign 127.0.0.1 '^disconnected .*authority'
client_sees tls13_only ec ca 127.0.0.1 '^disconnected .*(version|TLS 1\.2)' -tls1_3
client_sees static_rsa_is_refused rsa ca 127.0.0.1 '^disconnected .*TLS|^disconnected .*handshake' -tls1_2 -cipher AES128-SHA

# --- our server, their client ---------------------------------------------------------------------------------------------------------
serve() { # serve CERT: $port
	n=$((n + 1))
	launch "d$n" "$driver" serve "$work/$1.pem" "$work/$1.key"
	wait_log "d$n" '^listening' || { verdict "server_$1_starts" 1 "$work/d$n.log"; return 1; }
	port=$(sed -n 's/^listening //p' "$work/d$n.log")
}

request='GET /relay/websocket?ipv4=192.0.2.1 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nx-authorization: Bearer t\r\nuser-agent: x/1 relay/0.1.0\r\n\r\n'

server_gives() { # server_gives NAME PATTERN OPTIONS...
	name=$1 pattern=$2
	shift 2
	n=$((n + 1))
	# shellcheck disable=SC2059
	printf "$request" >"$work/request"
	timeout 40 openssl s_client -ign_eof -connect "127.0.0.1:$port" "$@" <"$work/request" >"$work/o$n.log" 2>&1 &
	PIDS[o$n]=$!
	check_log "server_$name" "o$n" "$pattern"
	stop "o$n"
}

switched='^HTTP/1.1 101 Switching Protocols'
for kind in ec ec384 rsa; do
	serve "$kind" || continue
	server_gives "${kind}_is_verified" '^Verify return code: 0|Verification: OK' -CAfile "$work/ca.pem" -verify_return_error -verify_ip 127.0.0.1
	server_gives "${kind}_speaks_http" "$switched" -CAfile "$work/ca.pem" -verify_return_error -verify_hostname localhost -quiet
done
serve rsa_by_rsa && server_gives rsa_signed_by_rsa "$switched" -CAfile "$work/rsaca.pem" -verify_return_error -quiet
serve ec_by_rsa && server_gives ec_signed_by_rsa "$switched" -CAfile "$work/rsaca.pem" -verify_return_error -quiet
serve self && server_gives self_signed "$switched" -CAfile "$work/self.pem" -verify_return_error -quiet
serve expired && server_gives expired_is_noticed 'certificate has expired' -CAfile "$work/ca.pem" -verify_return_error
serve wrong && server_gives wrong_name_is_noticed 'IP address mismatch' -CAfile "$work/ca.pem" -verify_return_error -verify_ip 127.0.0.1
serve ec
server_gives speaks_tls12 'TLSv1.2, Cipher is ECDHE-ECDSA-' -CAfile "$work/ca.pem"
server_gives refuses_tls11 'Cipher is \(NONE\)' -tls1_1
server_gives refuses_tls13_only 'Cipher is \(NONE\)' -tls1_3
server_gives refuses_cbc 'alert handshake failure' -tls1_2 -cipher ECDHE-ECDSA-AES128-SHA256
server_gives lives_on "$switched" -CAfile "$work/ca.pem" -verify_return_error -quiet
finish
