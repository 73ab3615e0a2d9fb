#!/bin/bash
# Hostile peers at the portal's sockets: requests that could be understood in two ways, connections that send byte by byte or nothing, one address that
# takes all connections. Others are served meanwhile.
# needs: root
# packages: ip:iproute2 curl:curl python3:python3
# timeout: 400
# lasts: 25
. "$(dirname "$0")/lib.sh"
export PYTHONDONTWRITEBYTECODE=1
must place portal evil good
must wire portal evil0 198.51.100.1/25 evil eth0 198.51.100.2/25
must wire portal good0 198.51.100.129/25 good eth0 198.51.100.130/25

DIR=$E2E/state
PORTAL="$EMBERBOX portal --dir $DIR"
must $PORTAL init >/dev/null
must $PORTAL account add --name Acme --admin-email jo@acme.example >/dev/null
CLIENT=$($PORTAL token add --actor jo@acme.example | awk '$1 == "token" { print $2 }')
LIMIT=300
must start portal portal "$EMBERBOX" portal --dir "$DIR" serve --listen 0.0.0.0:13001 --connections-per-address $LIMIT --trusted-proxy 198.51.100.130 \
	--web-refill-rate 0 --socket-capacity 1000 --socket-refill-rate 1000 --mail none
must wait_log portal 'portal is ready' 30

evil() { in_ns evil python3 "$ROOT/tests/e2e/hostile.py" 198.51.100.1 13001 "$@"; }
good() { in_ns good curl -s --max-time 20 -o "$E2E/body" -w '%{http_code} %{time_total}\n' "http://198.51.100.129:13001$1"; }
metric() { in_ns portal curl -s http://127.0.0.1:13001/metrics | awk -v name="emberbox_portal_$1" '$1 == name { print $2 }'; }

check request_smuggling_is_refused evil smuggle

all_gone() { [ "$(metric connections)" -le 2 ]; }

# ---- slow ones ---------------------------------------------------------------------------------------------------------------------

# Heads, bodies and silence together, each from the same address; meanwhile another is served as if nothing were.
slow() {
	local before after deed pids=() slowest=0 i rc=0 ms
	before=$(rss_kib portal)
	for deed in heads bodies idle; do
		evil $deed 90 >"$E2E/$deed.log" 2>&1 &
		pids+=($!)
	done
	for deed in heads bodies idle; do wait_log $deed opened 40 || return; done
	after=$(rss_kib portal)
	for ((i = 0; i < 20; i++)); do
		ms=$(good /sign_up | awk '$1 == 404 || $1 == 200 { printf "%d", $2 * 1000 }')
		[ -n "$ms" ] || { echo "a page was not served"; return 1; }
		[ "$ms" -gt "$slowest" ] && slowest=$ms
		sleep 0.1
	done
	for i in "${pids[@]}"; do wait "$i" || rc=1; done
	tail -qn 1 "$E2E/heads.log" "$E2E/bodies.log" "$E2E/idle.log"
	echo "slowest page meanwhile $slowest ms; resident $before KiB, with 270 slow connections $after"
	# as many requests with a head and a body as begun cost what they sent and a parser each
	[ $rc = 0 ] && [ $((after - before)) -lt 12000 ] && wait_for 100 all_gone
}
check slow_ones_are_given_up_and_others_served slow
note "$(tail -n 1 "$E2E/check.out")"

# ---- many ----------------------------------------------------------------------------------------------------------------------------

crowd() {
	local fifo=$E2E/fifo
	# a peer of theirs, joined before: it is not counted, and stays
	in_ns evil python3 "$ROOT/tests/interop/portal_peers.py" --host 198.51.100.1 13001 "client=$CLIENT" >"$E2E/peer.log" 2>&1 &
	PIDS[peer]=$!
	wait_log peer joined 30 || return
	mkfifo "$fifo"
	evil hold $((LIMIT + 50)) <"$fifo" >"$E2E/hold.log" 2>&1 &
	local pid=$!
	exec 7>"$fifo"
	wait_log hold '^open' 60 || return
	[ "$(cat "$E2E/hold.log")" = "open $LIMIT" ] || { cat "$E2E/hold.log"; return 1; }
	[ "$(metric connections_refused_total)" = 50 ] || { echo "refused: $(metric connections_refused_total)"; return 1; }
	[ "$(grep -c 'too many connections open' "$E2E/portal.log")" = 1 ] || { echo "the log tells it $(grep -c 'too many' "$E2E/portal.log") times"; return 1; }
	[ "$(good /readyz | cut -c1-3)" = 200 ] || return
	# that they are gone is seen a little later than they go
	! grep -q closed "$E2E/peer.log" && echo >&7 && exec 7>&- && wait $pid && wait_for 200 all_gone && evil hold 1 </dev/null | grep -qx 'open 1' && ! grep -q closed "$E2E/peer.log"
}
check one_address_does_not_take_all_connections crowd
# the trusted proxy comes for many
check a_trusted_proxy_has_no_such_limit eval 'in_ns good python3 "$ROOT/tests/e2e/hostile.py" 198.51.100.129 13001 hold $((LIMIT + 50)) </dev/null | grep -qx "open $((LIMIT + 50))"'
check the_portal_lives is_alive "${PIDS[portal]}"
check sigterm_ends_with_0 stop portal
finish
