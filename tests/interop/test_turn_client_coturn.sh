#!/bin/bash
# Our TURN client (core/turn/allocation.h) against coturn's turnserver (spec 50 §12.3, item 67), and against our own relay by the rules
# of Firezone. All on loopback of a network namespace of its own.
#
# needs: root
# packages: turnserver:coturn ip:iproute2
# timeout: 180
# lasts: 40
set -u
cd "$(dirname "$0")/../.." || exit 1
driver=${INTEROP_BIN:-$PWD/build/static/tests/interop}/turn_client
EMBERBOX=${EMBERBOX:-$(make -s print-binary)}
if [ -z "${IN_NAMESPACE:-}" ]; then
	[ "$(id -u)" = 0 ] || { echo "skip turn_client: needs root"; exit 0; }
	command -v turnserver >/dev/null || { echo "skip turn_client: coturn is not installed"; exit 0; }
	IN_NAMESPACE=1 EMBERBOX=$EMBERBOX exec unshare -n --kill-child "$0"
fi
work=${SCRATCH:-$(mktemp -d)}
pids=
trap 'kill $pids 2>/dev/null; wait 2>/dev/null' EXIT
ip link set lo up

secret=north
expiry=$(($(date +%s) + 3600))
password=$(printf %s "$expiry:x" | openssl dgst -sha1 -hmac $secret -binary | base64)
coturn() { # coturn ADDRESS PORT OPTION...
	turnserver -n --no-cli --no-tls --no-dtls -L "$1" -E "$1" -p "$2" --realm=firezone --allow-loopback-peers --log-file=stdout \
		"${@:3}" >"$work/coturn.$2.log" 2>&1 &
	pids="$pids $!"
}
coturn 127.0.0.1 3478 --use-auth-secret --static-auth-secret=$secret
coturn 127.0.0.1 3482 --lt-cred-mech --user=alice:wonderland --stale-nonce=1
stamp=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
"$EMBERBOX" relay --public-ip4-addr 127.0.0.1 --public-ip6-addr ::1 --listen-port 3484 --stamp-secret $stamp \
	--health-check-addr 127.0.0.1:18080 >"$work/ours.log" 2>&1 &
pids="$pids $!"
fz_password=$(printf '%s:%s:%s' "$expiry" $stamp salt | openssl dgst -sha256 -binary | base64 | tr -d '=')
sleep 1

"$driver" spec50_67_coturn_rest 127.0.0.1:3478 "$expiry:x" "$password" rfc 0
"$driver" spec50_67_coturn_stale_nonce 127.0.0.1:3482 alice wonderland rfc 2
"$driver" our_relay 127.0.0.1:3484 "$expiry:salt" "$fz_password" firezone 0
"$driver" our_relay_ipv6 "[::1]:3484" "$expiry:salt" "$fz_password" firezone 0
exit 0
