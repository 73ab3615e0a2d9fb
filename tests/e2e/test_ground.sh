#!/bin/bash
# The ground the other end-to-end tests stand on: the places, the kinds of NAT, the portal and a relay in them, and that nothing is left
# behind.
#
# needs: root
# packages: ip:iproute2 nft:nftables curl:curl python3:python3
. "$(dirname "$0")/lib.sh"

# mappings PORT: the source ports that two servers on the internet see of the client's socket on PORT
mappings() {
	local i
	for i in portal relay; do
		start "echo-$i" "$i" python3 -uc '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 7))
print("ready")
while True:
    data, who = s.recvfrom(2000)
    s.sendto(str(who[1]).encode(), who)'
		wait_log "echo-$i" ready || return
	done
	in_ns client python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(15)
s.bind(("", int(sys.argv[1])))
seen = []
for host in ("198.51.100.2", "203.0.113.2"):
    s.sendto(b"?", (host, 7))
    seen.append(s.recvfrom(100)[0].decode())
print(*seen)' "$1" >"$E2E/mappings"
	local rc=$?
	stop echo-portal
	stop echo-relay
	return $rc
}

keeps_ports() { mappings 52625 && [ "$(cat "$E2E/mappings")" = "52625 52625" ]; }
draws_ports() { # of a socket that has no mapping yet
	mappings 52626 || return
	read -r a b <"$E2E/mappings"
	[ "$a" != "$b" ] && [ "$a" != 52626 ]
}
# A datagram nobody asked for does not come in, and does not spoil the mapping either.
refuses_strangers() {
	in_ns portal python3 -c 'import socket; socket.socket(2, 2).sendto(b"x", ("192.0.2.2", 52625))'
	not in_ns portal ping -c1 -W1 10.1.0.2 && keeps_ports
}

must internet cone symmetric
must start_web
check client_reaches_the_internet in_ns client ping -c1 -W10 203.0.113.2
check gateway_reaches_the_web in_ns gateway curl -fsS -o /dev/null --max-time 20 http://10.9.0.80/small
check client_does_not_reach_the_web not in_ns client curl -fsS -o /dev/null --max-time 1 http://10.9.0.80/small
check cone_keeps_ports keeps_ports
check cone_refuses_strangers refuses_strangers
check symmetric_draws_ports eval 'nat cnat symmetric && draws_ports'
check client_moves eval 'client_moves 66 && in_ns client ping -c1 -W10 198.51.100.2'

if has_applet portal && has_applet relay; then
	check portal_starts start_portal
	check portal_answers_the_client in_ns client curl -fsS --max-time 20 http://198.51.100.2:13001/healthz
	start_relay relay
	if wait_log relay 'no portal connection' 1; then
		skip relay "this build's relay stands alone"
	else
		check relay_joins has_joined relay
		check relay_stops_with_0 stop relay
	fi
	check portal_stops_with_0 stop portal
else
	skip portal_and_relay "not in this build"
fi

leaves_nothing() {
	(
		P=$P-inner PLACES=() E2E=$E2E/inner work=$work/inner
		declare -A PIDS=()
		mkdir -p "$E2E"
		place one two && start sleeper one sleep 1000 || exit
		echo "${PIDS[sleeper]}" >"$E2E/../inner.pid"
		cleanup
	)
	! ip netns list | grep -q "^$P-inner" && ! is_alive "$(cat "$E2E/inner.pid")" && [ ! -e "$E2E/inner" ]
}
check cleaning_up_leaves_nothing leaves_nothing
finish
