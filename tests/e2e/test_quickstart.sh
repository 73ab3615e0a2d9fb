#!/bin/bash
# One command on one host: portal, relay and gateway; a client elsewhere fetches a page through it. A part that is killed comes back, SIGTERM
# ends all of it, and nothing stays behind.
# needs: root
# packages: ip:iproute2 nft:nftables curl:curl python3:python3 pgrep:procps
# timeout: 400
. "$(dirname "$0")/lib.sh"

# client 192.0.2.2 ── host 192.0.2.1 │ 10.9.0.1 ── web 10.9.0.80
must place host laptop web
must wire host eth0 192.0.2.1/24 laptop eth0 192.0.2.2/24
must wire host eth1 10.9.0.1/24 web eth0 10.9.0.80/24
must ip -n "$P-host" route add default via 192.0.2.2
must ip -n "$P-web" route add default via 10.9.0.1
mkdir "$E2E/www" && echo "through the tunnel" >"$E2E/www/page"
must start web web python3 -m http.server -d "$E2E/www" 80

DIR=$E2E/state
PORTAL="$EMBERBOX portal --dir $DIR/portal"
quickstart() { start quickstart host "$EMBERBOX" quickstart --dir "$DIR" && wait_log quickstart 'Connect a client' 40; }

must quickstart
check prints_how_to_add_a_resource grep -q "portal --dir $DIR/portal resource add" "$E2E/quickstart.log"
check prints_a_link_for_the_first_admin grep -qE "https?://[^ ]+/auth/link/[A-Za-z0-9_-]{86}" "$E2E/quickstart.log"
online() { $PORTAL status show | grep -qE 'gateways +1' && $PORTAL status show | grep -qE 'relays +1'; }
check relay_and_gateway_join wait_for 200 online

eval "$(grep -oE "FIREZONE_TOKEN='[^']*' FIREZONE_API_URL='[^']*'" "$E2E/quickstart.log" | sed 's/^/export /; s/ FIREZONE_API/; export FIREZONE_API/')"
check prints_the_command_of_a_client [ -n "${FIREZONE_TOKEN:-}" ]
must $PORTAL resource add --site home --address 10.9.0.80 --name web >/dev/null
must $PORTAL policy add --group devices --resource web >/dev/null
start client laptop env FIREZONE_ID=laptop "$EMBERBOX" client --dns-control disabled
fetch() { [ "$(in_ns laptop curl -s -m 10 http://10.9.0.80/page)" = "through the tunnel" ]; }
check a_client_fetches_a_page wait_for 150 fetch

part() { pgrep -P "$(pgrep -P "${PIDS[quickstart]}" 2>/dev/null || echo "${PIDS[quickstart]}")" -f "$1" || pgrep -P "${PIDS[quickstart]}" -f "$1"; }
comes_back() { # comes_back PATTERN
	local before
	before=$(part "$1" | head -1) && kill -9 "$before" && wait_for 150 another "$1" "$before"
}
another() { # another PATTERN PID: it runs again
	local now
	now=$(part "$1" | head -1) && [ -n "$now" ] && [ "$now" != "$2" ]
}
check killed_relay_comes_back comes_back ' relay$'
check killed_portal_comes_back comes_back 'portal --dir'
check all_join_again wait_for 600 online
check killed_gateway_comes_back comes_back ' gateway$'
check and_serves_again wait_for 300 fetch
stop client

check sigterm_ends_with_0 stop quickstart
nothing_left() {
	! ip -n "$P-host" link show tun-firezone 2>/dev/null && ! in_ns host nft list ruleset | grep -q emberbox &&
		! ip -n "$P-host" rule | grep -qE '2021fd|539098368|fwmark' && [ -z "$(ip netns pids "$P-host")" ]
}
check leaves_nothing_behind nothing_left || { ip -n "$P-host" rule; in_ns host nft list ruleset; }
must quickstart
check second_start_keeps_its_state $PORTAL resource show web
check second_start_ends stop quickstart
finish
