#!/bin/bash
# Our TURN client (core/turn/allocation.h) against coturn's turnserver (spec 50 §12.3, item 67), and against our own relay by the rules
# of Firezone. All on loopback of a network namespace of its own.
#
# needs: root
# packages: turnserver:coturn ip:iproute2
# timeout: 400
# lasts: 40
. "$(dirname "$0")/lib.sh"
needs_driver turn_client
command -v turnserver >/dev/null || { skip turn_client "coturn is not installed" && finish; }
own_network

secret=north
expiry=$(($(date +%s) + 3600))
password=$(printf %s "$expiry:x" | openssl dgst -sha1 -hmac $secret -binary | base64)
coturn() { # coturn ADDRESS PORT OPTION...
	launch "coturn.$2" turnserver -n --no-cli --no-tls --no-dtls -L "$1" -E "$1" -p "$2" --realm=firezone --allow-loopback-peers --log-file=stdout \
		"${@:3}"
}
coturn 127.0.0.1 3478 --use-auth-secret --static-auth-secret=$secret
coturn 127.0.0.1 3482 --lt-cred-mech --user=alice:wonderland --stale-nonce=1
stamp=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
launch ours "$EMBERBOX" relay --public-ip4-addr 127.0.0.1 --public-ip6-addr ::1 --listen-port 3484 --stamp-secret $stamp \
	--health-check-addr 127.0.0.1:18080
fz_password=$(printf '%s:%s:%s' "$expiry" $stamp salt | openssl dgst -sha256 -binary | base64 | tr -d '=')
is_bound() { [ -n "$(ss -Hlun "sport = :$1")" ]; }
for port in 3478 3482 3484; do must wait_for 300 is_bound $port; done

"$driver" spec50_67_coturn_rest 127.0.0.1:3478 "$expiry:x" "$password" rfc 0
"$driver" spec50_67_coturn_stale_nonce 127.0.0.1:3482 alice wonderland rfc 2
"$driver" our_relay 127.0.0.1:3484 "$expiry:salt" "$fz_password" firezone 0
"$driver" our_relay_ipv6 "[::1]:3484" "$expiry:salt" "$fz_password" firezone 0
finish
