#!/bin/bash
# Independent TURN clients against our relay (spec 50 §12.2, item 66): coturn's turnutils_uclient and turnutils_stunclient, and aioice's
# TURN client. All on loopback of a network namespace of its own.
#
# needs: root
# packages: turnutils_uclient:coturn ip:iproute2 openssl:openssl
# timeout: 900
# lasts: 115
#
# aioice comes from the Python package index, once, into $AIOICE_VENV (default build/interop/aioice); where it cannot be had, its tests
# are skipped.
. "$(dirname "$0")/lib.sh"
venv=${AIOICE_VENV:-$ROOT/build/interop/aioice}
command -v turnutils_uclient >/dev/null || { skip relay_clients "coturn is not installed" && finish; }
[ -n "${IN_NAMESPACE:-}" ] || python_package "$venv" aioice aioice # while there is a network
own_network

relay() { # relay PORT OPTION...
	launch "relay.$1" "$EMBERBOX" relay --public-ip4-addr 127.0.0.1 --public-ip6-addr ::1 --listen-port "$1" --health-check-addr "127.0.0.1:1$1" \
		--lowest-port $((40000 + $1)) --highest-port $((40999 + $1)) "${@:2}"
}
stamp=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
relay 3478 --user alice:wonderland --realm example.org --allow-loopback-peers
relay 5478 --static-auth-secret north --realm example.org --allow-loopback-peers
relay 7478 --stamp-secret $stamp --wide-channels
relay 9478 --user alice:wonderland --realm example.org
launch peer turnutils_peer -L 127.0.0.1 -L ::1 -p 3480
are_up() { # are_up PORT…: relays, which answer about their health when they serve, and the peer
	local port
	for port; do (exec 3<>"/dev/tcp/127.0.0.1/1$port") || return; done
	[ "$(ss -Hlun 'sport = :3480' | wc -l)" -ge 2 ]
}
must wait_for 300 are_up 3478 5478 7478 9478

# exchange OPTION...: succeeds when as many messages came back as were sent. turnutils_uclient stops listening by a schedule of its own, answers
# or not, so a machine that starves it for a second looks like loss: a relay that really loses does so in all three attempts.
exchange() {
	local attempt
	for attempt in 1 2 3; do
		timeout 60 turnutils_uclient -z 5 "$@" >"$work/uclient.out" 2>&1
		sent=$(sed -n 's/.*tot_send_msgs=\([0-9]*\),.*/\1/p' "$work/uclient.out" | tail -1)
		received=$(sed -n 's/.*tot_recv_msgs=\([0-9]*\).*/\1/p' "$work/uclient.out" | tail -1)
		[ "${sent:-0}" -gt 0 ] && [ "$sent" = "${received:-0}" ] && return 0
	done
	return 1
}

# exchanges NAME OPTION...
exchanges() {
	local name=$1
	shift
	if exchange "$@"; then
		ok "$name"
	else
		not_ok "$name" "sent ${sent:-none}, received ${received:-none}"
		tail -3 "$work/uclient.out"
	fi
}
uclient() { # uclient NAME OPTION...
	exchanges "$1" -n 100 -l 1000 -e 127.0.0.1 -r 3480 "${@:2}"
}

user="-u alice -w wonderland -p 3478"
uclient uclient_channels -c $user 127.0.0.1
uclient uclient_four_clients_and_rtcp -m 4 $user 127.0.0.1
uclient uclient_send_indications -c -s -m 2 $user 127.0.0.1
uclient uclient_client_to_client -c -y -m 2 $user 127.0.0.1
uclient uclient_client_to_client_indications -c -y -s -m 2 $user 127.0.0.1
uclient uclient_padded_channel_data -c -D -l 1001 $user 127.0.0.1
uclient uclient_dont_fragment -c -g $user 127.0.0.1
timeout 10 turnutils_uclient -c -z 5 -n 20 -e 127.0.0.1 -r 3480 -N -R $user 127.0.0.1 >/dev/null 2>&1 # broken on purpose
uclient uclient_after_its_negative_tests -c $user 127.0.0.1
exchanges uclient_ipv6 -c -n 50 -x -e ::1 -r 3480 $user ::1
exchanges uclient_ipv6_client_ipv4_peer -c -n 50 -X -e 127.0.0.1 -r 3480 $user ::1
uclient uclient_rest_secret -c -W north -u x -p 5478 127.0.0.1

expiry=$(($(date +%s) + 3600))
password=$(printf '%s:%s:%s' $expiry $stamp test | openssl dgst -sha256 -binary | base64 | tr -d '=')
uclient spec50_66_uclient_firezone_credentials -c -m 1 -u "$expiry:test" -w "$password" -p 7478 127.0.0.1
uclient spec50_66_uclient_firezone_padded -c -m 1 -D -l 1001 -u "$expiry:test" -w "$password" -p 7478 127.0.0.1

# Firezone's rules know no indications; a wrong password allocates nothing; loopback is closed unless opened
refused() { # refused NAME OPTION...
	local name=$1
	shift
	timeout 20 turnutils_uclient -z 5 -n 20 -e 127.0.0.1 -r 3480 "$@" >"$work/uclient.out" 2>&1
	! grep -q 'tot_recv_msgs=[1-9]' "$work/uclient.out"
	verdict "$name" $? "$work/uclient.out"
}
refused uclient_wrong_password_gets_nothing -c -u alice -w wrong -p 3478 127.0.0.1
refused uclient_loopback_peers_are_closed -c -u alice -w wonderland -p 9478 127.0.0.1
refused uclient_no_indications_under_firezone_rules -c -s -m 1 -u "$expiry:test" -w "$password" -p 7478 127.0.0.1

# `emberbox relay --print-credentials` speaks the language of both
read -r name pass < <("$EMBERBOX" relay --static-auth-secret north --realm example.org --print-credentials 1h |
	sed 's/.*"username":"\([^"]*\)","password":"\([^"]*\)".*/\1 \2/')
uclient uclient_printed_credentials -c -u "$name" -w "$pass" -p 5478 127.0.0.1

turnutils_stunclient -p 3478 127.0.0.1 2>&1 | grep -q 'reflexive addr: 127.0.0.1'
verdict stunclient $?
turnutils_stunclient -p 3478 ::1 2>&1 | grep -q 'reflexive addr: ::1'
verdict stunclient_ipv6 $?

"$venv/bin/python" -c 'import aioice' 2>/dev/null || { skip aioice "the package cannot be fetched" && finish; }
"$venv/bin/python" tests/interop/aioice_turn.py 127.0.0.1 3478 alice wonderland
"$venv/bin/python" tests/interop/aioice_turn.py ::1 3478 alice wonderland
finish
