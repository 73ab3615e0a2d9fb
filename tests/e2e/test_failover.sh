#!/bin/bash
# What happens when a part goes away under traffic; the time until packets flow again is printed.
# needs: root
# packages: ip:iproute2 nft:nftables curl:curl python3:python3 ping:iputils-ping
# timed: packets are missing for a tenth of a second at most
# lasts: 55
. "$(dirname "$0")/lib.sh"

if [ $# -eq 0 ]; then
	rc=0
	for event in gateway_term gateway_kill client_moves portal_restart relay_restart; do bash "$0" $event || rc=1; done
	trap - EXIT
	cleanup
	exit $rc
fi

# A ping every 20 ms; its sequence numbers and times tell the longest gap. Another one goes to the next router meanwhile, where nobody of ours is
# in the way: as long as the machine makes that one wait, it may make each of the five programs wait that ours needs to find its way again.
pings() { # pings SECONDS
	{
		in_ns client ping -D -n -i 0.02 -W 1 -w "$1" 10.9.0.80 >"$E2E/pings" 2>&1
		date +%s.%N >"$E2E/pings.end"
	} &
	PINGER=$!
	in_ns client ping -D -n -i 0.02 -W 1 -w "$1" 192.0.2.1 >"$E2E/pings.machine" 2>&1 &
	MACHINE=$!
	wait_for 50 grep -q 'bytes from' "$E2E/pings"
}
gap_ms() { # gap_ms FILE
	awk -F'[][]' '/bytes from/ { t = $2 * 1000; if (last && t - last > gap) gap = t - last; last = t } END { printf "%d\n", gap }' "$1"
}
# The last answer came within the last 0.7 s of the run.
came_back() { awk -F'[][]' -v end="$(cat "$E2E/pings.end")" '/bytes from/ { last = $2 } END { exit !(end - last < 0.7) }' "$E2E/pings"; }
within() { # within TEST LIMIT_MS
	local gap stall
	wait "$PINGER" "$MACHINE"
	gap=$(gap_ms "$E2E/pings")
	stall=$((5 * ($(gap_ms "$E2E/pings.machine") - 25)))
	[ $stall -gt 0 ] || stall=0
	note "$SUITE: traffic flows again after $gap ms (limit $2 and the machine's own $stall)"
	check "$1" test "$gap" -le $(($2 + stall))
	check "$1"_for_good came_back
}
second_gateway() {
	start_gateway gateway2
	must has_joined gateway2
}

SUITE=failover_$1
case $1 in
gateway_term)
	world cone cone
	second_gateway
	check reachable fetch http://10.9.0.80/small
	used=gateway
	grep -q 'connected to client' "$E2E/gateway.log" || used=gateway2
	pings 4
	sleep 1
	check exits_cleanly stop $used TERM
	within spec40_65_goodbye_moves_clients_at_once 250
	;;
gateway_kill)
	world cone cone
	second_gateway
	check reachable fetch http://10.9.0.80/small
	used=gateway
	grep -q 'connected to client' "$E2E/gateway.log" || used=gateway2
	pings 9
	sleep 1
	stop $used KILL 2>/dev/null
	within silent_gateway_is_left 4500
	;;
client_moves)
	world cone cone
	check reachable fetch http://10.9.0.80/small
	head -c 40M /dev/urandom >"$E2E/www/file"
	FETCH_SECS=40 fetch --limit-rate 8M http://10.9.0.80/file &
	transfer=$!
	pings 8
	sleep 1.5
	client_moves 66
	within address_change_is_noticed 1500
	check transfer_survives wait $transfer
	check transfer_is_whole cmp "$E2E/fetched" "$E2E/www/file"
	;;
portal_restart)
	world cone cone
	check reachable fetch http://10.9.0.80/small
	pings 8
	sleep 1
	check portal_stops stop portal TERM
	sleep 2
	start_portal
	within spec10_33_portal_s_absence_costs_no_packet 100
	# of those before the last answer: what was under way at the end is not waited for
	lost=$(awk '/bytes from/ { split($0, a, "icmp_seq="); n++; if (a[2] + 0 > last) last = a[2] + 0 } END { print last - n }' "$E2E/pings")
	check none_lost test "$lost" -le 1
	check client_joins_again wait_log portal 'client joined' 15
	check gateway_joins_again wait_log portal 'gateway joined' 15
	check still_reachable fetch http://10.9.0.80/small
	;;
relay_restart)
	world symmetric symmetric
	check reachable fetch http://10.9.0.80/small
	pings 12
	sleep 1
	check relay_stops stop relay TERM
	start_relay relay
	within relayed_path_comes_back 4000
	;;
esac
finish
