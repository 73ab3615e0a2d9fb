#!/bin/bash
# What the operator says holds at once: filters, revocation, other tunnel traffic.
# needs: root
# packages: ip:iproute2 nft:nftables curl:curl python3:python3
. "$(dirname "$0")/lib.sh"
world cone cone

head -c 200M /dev/zero >"$E2E/www/large"
policy() { # of the resource lab
	admin policy list --json | python3 -c '
import json, sys
rows = json.load(sys.stdin)
rows = rows.get("data", rows) if isinstance(rows, dict) else rows
print(next(r["id"] for r in rows if r["resource"] == "lab"))'
}
blocked() { ! FETCH_SECS=3 fetch "$@"; }
silent() { ! in_ns client ping -c 3 -i 0.2 -W 1 10.9.0.80; }

check reachable fetch http://10.9.0.80/small

# Filters: TCP 80 stays, ICMP goes; then the other way round. Both ends hear of it without a reconnect.
admin resource update lab --filter tcp:80 >"$E2E/out" 2>&1 || not_ok filter_set "$(cat "$E2E/out")"
check filtered_protocol_is_refused wait_for 100 silent
check allowed_port_passes fetch http://10.9.0.80/small
admin resource update lab --filter tcp:443 >"$E2E/out" 2>&1
check spec40_33_filtered_port_is_refused wait_for 100 blocked http://10.9.0.80/small
admin resource update lab --no-filters >"$E2E/out" 2>&1 || not_ok filter_cleared "$(cat "$E2E/out")"
check open_again wait_for 20 fetch http://10.9.0.80/small

# Revocation in the middle of a transfer.
in_ns client curl -sS --max-time 120 --limit-rate 2M -o "$E2E/cut" http://10.9.0.80/large 2>"$E2E/cut.err" &
transfer=$!
must wait_for 200 test -s "$E2E/cut"
admin policy delete "$(policy)" >"$E2E/out" 2>&1 || not_ok policy_deleted "$(cat "$E2E/out")"
# What curl still writes is what its socket had received before; what the tunnel brings in is what counts.
tunnel_bytes() { in_ns client cat /sys/class/net/tun-firezone/statistics/rx_bytes; }
stands_still() { # while curl still waits for more
	local before
	before=$(tunnel_bytes)
	sleep 1.5
	[ $(($(tunnel_bytes) - before)) -lt 10000 ] && is_alive $transfer
}
check revoked_transfer_stands_still wait_for 8 stands_still
kill $transfer 2>/dev/null
wait $transfer 2>/dev/null
check revoked_resource_is_unreachable blocked http://10.9.0.80/small
check revoked_route_is_gone wait_for 100 bash -c "! ip -n $P-client route show table 539098368 | grep -q 10.9.0.0"

# And granted again.
admin policy add --group Everyone --resource lab >"$E2E/out" 2>&1
must wait_for 150 has_route
check granted_again fetch http://10.9.0.80/small

# Addresses that are nobody's resource go where they went before.
check other_traffic_is_untouched in_ns client ping -c 1 -W 10 198.51.100.2
finish
