#!/bin/bash
# Relay against coturn in one run, both on loopback of a network namespace of its own: datagrams relayed per CPU second of the relay's
# process, by size and direction; once as single datagrams, once as the runs that senders with UDP GSO make. And memory per allocation.
#   EMBERBOX=path BENCH_BIN=folder of relay_load   REPEATS=3 SECONDS_EACH=2 CLIENTS=8
set -u
cd "$(dirname "$0")/../.." || exit 1
EMBERBOX=${EMBERBOX:-$(make -s print-binary)}
LOAD=${BENCH_BIN:?folder of relay_load; make bench BENCH=relay sets it}/relay_load
REPEATS=${REPEATS:-3} SECONDS_EACH=${SECONDS_EACH:-2} CLIENTS=${CLIENTS:-8}
GOAL=130 # percent of coturn

if [ "$(id -u)" != 0 ] || ! command -v turnserver >/dev/null; then
	echo "skip relay: needs root and coturn's turnserver"
	exit 0
fi
if [ -z "${IN_NAMESPACE:-}" ]; then
	IN_NAMESPACE=1 EMBERBOX=$EMBERBOX exec unshare -n --kill-child "$0" "$@"
fi
ip link set lo up
work=$(mktemp -d) || exit 1
"$EMBERBOX" relay --public-ip4-addr 127.0.0.1 --user alice:wonderland --allow-loopback-peers --health-check-addr 127.0.0.1:18080 \
	>"$work/ours.log" 2>&1 &
ours=$!
turnserver -n --no-cli --no-tls --no-dtls -L 127.0.0.1 -E 127.0.0.1 -p 3479 --min-port 40000 --max-port 49000 --realm=firezone \
	--lt-cred-mech --user=alice:wonderland --allow-loopback-peers --log-file=stdout --simple-log >"$work/coturn.log" 2>&1 &
coturn=$!
trap 'kill $ours $coturn 2>/dev/null; wait $ours $coturn 2>/dev/null; rm -rf "$work"' EXIT
sleep 1

sorted() { printf '%s\n' "$@" | sort -n | tr '\n' ' '; }
failed=0

echo "relay: packets per CPU second, $CLIENTS clients, $REPEATS repeats (min median max), and the median against coturn's"
for mode in single gso; do
	for direction in up down; do
		for size in 1312 200; do
			a=() b=()
			for _ in $(seq "$REPEATS"); do
				set -- $("$LOAD" 127.0.0.1:3478 alice wonderland $ours $direction $size "$SECONDS_EACH" "$CLIENTS" $mode)
				a+=("${3:-0}")
				set -- $("$LOAD" 127.0.0.1:3479 alice wonderland $coturn $direction $size "$SECONDS_EACH" "$CLIENTS" $mode)
				b+=("${3:-0}")
			done
			set -- $(sorted "${a[@]}") $(sorted "${b[@]}")
			mine=("${@:1:REPEATS}") theirs=("${@:REPEATS+1}")
			ratio=$((mine[REPEATS / 2] * 100 / (theirs[REPEATS / 2] > 0 ? theirs[REPEATS / 2] : 1)))
			verdict=met
			[ $ratio -ge $GOAL ] || { verdict=MISSED; failed=1; }
			printf '%-6s %-4s %4d bytes  emberbox %8d %8d %8d   coturn %8d %8d %8d   %d.%02d x (goal %d.%02d: %s)\n' $mode $direction $size \
				"${mine[0]}" "${mine[REPEATS / 2]}" "${mine[REPEATS - 1]}" \
				"${theirs[0]}" "${theirs[REPEATS / 2]}" "${theirs[REPEATS - 1]}" \
				$((ratio / 100)) $((ratio % 100)) $((GOAL / 100)) $((GOAL % 100)) $verdict
		done
	done
done
mine=$("$LOAD" 127.0.0.1:3478 alice wonderland $ours hold 2000)
verdict=met
[ "${mine:-9999}" -le 2048 ] || { verdict=MISSED; failed=1; }
echo "memory per allocation with one channel: emberbox $mine bytes (goal 2048: $verdict)"
exit $failed
