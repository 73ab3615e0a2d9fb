#!/bin/bash
# dns-proxy against unbound and dnsmasq in one run, in a network namespace of its own; one core for the server, one for the load. Servers take
# turns, so that what else the machine does meets all of them alike, and have one priority: the ordinary one, and real time for all while latency
# is measured, for the time others keep a core is none of theirs. Load is dnsperf's, latency is measured by dns_load.
#   cached     queries per CPU second of the server's process from the cache (goal: twice both), and the 99th percentile of latency at a
#              fixed rate, by the kernel's stamps (goal: not worse than either); that of dnsperf is printed beside it: with both its threads on
#              one core it tells how those two share it
#   memory     resident kB after that (goal: below 5300); 10,000 names in the cache (goal: 4 MB at most)
#   uncached   each query once, forwarded to an unbound that knows the answers: per CPU second (goal: not slower than unbound forwarding)
#   EMBERBOX=path BENCH_BIN=folder of dns_load   REPEATS=5 SECONDS_EACH=2 NAMES=1000 RATE=20000
# packages: dnsperf:dnsperf unbound:unbound dnsmasq:dnsmasq-base
set -u
cd "$(dirname "$0")/../.." || exit 1
EMBERBOX=${EMBERBOX:-$(make -s print-binary)}
LOAD=${BENCH_BIN:?folder of dns_load; make bench BENCH=dns sets it}/dns_load
REPEATS=${REPEATS:-5} SECONDS_EACH=${SECONDS_EACH:-2} NAMES=${NAMES:-1000} RATE=${RATE:-20000}

for tool in dnsperf unbound dnsmasq; do
	command -v $tool >/dev/null || PATH=$PATH:/usr/sbin
	command -v $tool >/dev/null || { echo "skip dns: needs $tool"; exit 0; }
done
[ "$(id -u)" = 0 ] || { echo "skip dns: needs root"; exit 0; }
if [ -z "${IN_NAMESPACE:-}" ]; then
	IN_NAMESPACE=1 EMBERBOX=$EMBERBOX exec unshare -n --kill-child "$0" "$@"
fi
ip link set lo up
work=$(mktemp -d) || exit 1
chmod 755 "$work"
declare -A pid port
cleanup() {
	kill "${pid[@]}" 2>/dev/null
	wait 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT
cores=$(nproc)
on() { # on CORE COMMAND...: where there are that many
	local core=$1
	shift
	if [ "$cores" -gt 1 ]; then exec taskset -c $((core % cores)) "$@"; else exec "$@"; fi
}

# ---- who answers: an authority for all names of bench.example, and three that forward to it

cat >"$work/authority.conf" <<END
server:
 interface: 127.0.0.1
 port: 5300
 do-daemonize: no
 username: ""
 chroot: ""
 pidfile: ""
 use-syslog: no
 logfile: "$work/authority.log"
 num-threads: 1
 so-rcvbuf: 4m
 local-zone: "bench.example." redirect
 local-data: "bench.example. 86400 A 192.0.2.7"
END
cat >"$work/unbound.conf" <<END
server:
 interface: 127.0.0.1
 port: 5302
 do-daemonize: no
 username: ""
 chroot: ""
 pidfile: ""
 use-syslog: no
 logfile: "$work/unbound.log"
 num-threads: 1
 so-rcvbuf: 4m
 do-not-query-localhost: no
 module-config: "iterator"
 outgoing-range: 4096
 num-queries-per-thread: 2048
forward-zone:
 name: "."
 forward-addr: 127.0.0.1@5300
END
(on 1 unbound -c "$work/authority.conf") & pid[authority]=$!
start() { # start NAME: fresh, with an empty cache
	[ -n "${pid[$1]:-}" ] && { kill "${pid[$1]}"; wait "${pid[$1]}" 2>/dev/null; }
	case $1 in
	emberbox)
		port[emberbox]=5301
		(on 0 "$EMBERBOX" dns-proxy --listen 127.0.0.1:5301 --upstream 127.0.0.1:5300 --stats-socket "$work/stats" --cache-size 4M \
			>"$work/emberbox.log" 2>&1) &
		;;
	unbound)
		port[unbound]=5302
		(on 0 unbound -c "$work/unbound.conf") &
		;;
	dnsmasq)
		port[dnsmasq]=5303
		(on 0 dnsmasq --keep-in-foreground --no-resolv --no-hosts --port=5303 --listen-address=127.0.0.1 --bind-interfaces \
			--server=127.0.0.1#5300 --cache-size=10000 --dns-forward-max=2000 --pid-file= --user=root >"$work/dnsmasq.log" 2>&1) &
		;;
	esac
	pid[$1]=$!
	local i
	for i in $(seq 100); do
		dnsperf -s 127.0.0.1 -p "${port[$1]}" -d <(echo "ready.bench.example A") -n 1 -c 1 -t 1 2>/dev/null |
			grep -q 'completed: *1 ' && return
		sleep 0.05
	done
	echo "dns: $1 does not answer"
	exit 1
}
ticks() { awk '{ print $14 + $15 }' "/proc/${pid[$1]}/stat"; }
rss() { awk '/^VmRSS:/ { print $2 }' "/proc/${pid[$1]}/status"; }
hertz=$(getconf CLK_TCK)

seq "$NAMES" | sed 's/.*/host&.bench.example A/' >"$work/names"
seq 10000 | sed 's/.*/many&.bench.example A/' >"$work/many"

# load NAME FILE OPTIONS...: "queries-per-CPU-second lost"
load() {
	local name=$1 file=$2 before after
	shift 2
	before=$(ticks "$name")
	(on 1 dnsperf -s 127.0.0.1 -p "${port[$name]}" -d "$file" -c 8 -T 1 -t 5 "$@") >"$work/dnsperf" 2>&1
	after=$(ticks "$name")
	awk -v cpu=$(((after - before) * 1000 / hertz)) '
		/Queries completed:/ { done = $3 }
		/Queries lost:/ { lost = $3 }
		END { printf("%d %d\n", (cpu > 0) ? done * 1000 / cpu : 0, lost) }' "$work/dnsperf"
}
# latency NAME: the 99th percentile of RATE queries a second, microseconds
latency() {
	chrt -a -f -p 1 "${pid[$1]}" 2>/dev/null && set -- "$1" chrt -f 1
	(on 1 "${@:2}" "$LOAD" "${port[$1]}" "$RATE" "$SECONDS_EACH" "$NAMES") | awk '{ print $4 }'
	chrt -a -o -p 0 "${pid[$1]}" 2>/dev/null
}
seen_by_dnsperf() { # NAME FILE
	(on 1 dnsperf -v -s 127.0.0.1 -p "${port[$1]}" -d "$2" -c 8 -T 1 -t 5 -l "$SECONDS_EACH" -Q "$RATE" -q 200) 2>/dev/null |
		awk '$1 == ">" { print int($NF * 1000000) }' | sort -n | awk '{ v[NR] = $1 } END { print NR ? v[int(NR * 0.99)] : 0 }'
}
sorted() { printf '%s\n' "$@" | sort -n | tr '\n' ' '; }
# row WHAT NAME VALUES...: prints minimum, median, maximum; the median is in `median`
row() {
	local what=$1 name=$2 v
	shift 2
	v=($(sorted "$@"))
	median=${v[$((${#v[@]} / 2))]}
	printf '%-34s %-9s %9d %9d %9d\n' "$what" "$name" "${v[0]}" "$median" "${v[-1]}"
}
failed=0
goal() { # goal WORDS IS_MET
	if [ "$2" = 1 ]; then echo "  goal: $1: met"; else echo "  goal: $1: MISSED"; failed=1; fi
}

echo "dns: $REPEATS repeats, minimum median maximum"
declare -A qps p99 seen
servers="emberbox unbound dnsmasq"
for s in $servers; do
	start $s
	load $s "$work/names" -n 2 -q 50 >/dev/null
	qps[$s]= p99[$s]= seen[$s]=
done
for _ in $(seq "$REPEATS"); do
	for s in $servers; do
		set -- $(load $s "$work/names" -l "$SECONDS_EACH" -q 200)
		qps[$s]+=" $1"
		p99[$s]+=" $(latency $s)"
		seen[$s]+=" $(seen_by_dnsperf $s "$work/names")"
	done
done
declare -A m
for s in $servers; do row "cached, queries per CPU second" $s ${qps[$s]}; m[$s]=$median; done
goal "2 x unbound and dnsmasq" $((m[emberbox] >= 2 * m[unbound] && m[emberbox] >= 2 * m[dnsmasq]))
for s in $servers; do row "p99 at $RATE/s, microseconds" $s ${p99[$s]}; m[$s]=$median; done
goal "p99 not worse" $((m[emberbox] <= m[unbound] && m[emberbox] <= m[dnsmasq]))
for s in $servers; do row "  the same as dnsperf sees it" $s ${seen[$s]}; done
for s in $servers; do row "resident, kB" $s $(rss $s); m[$s]=$median; done
goal "below 5300 kB" $((m[emberbox] < 5300))

start emberbox
load emberbox "$work/many" -n 1 -q 50 >/dev/null
"$EMBERBOX" dns-proxy stats --stats-socket "$work/stats" >"$work/counts"
entries=$(sed -n 's/.*"entries":\([0-9]*\).*/\1/p' "$work/counts") bytes=$(sed -n 's/.*"entries":[0-9]*,"bytes":\([0-9]*\).*/\1/p' "$work/counts")
echo "cache: $entries names in $bytes bytes, resident $(rss emberbox) kB"
goal "10,000 names in 4 MB" $((entries >= 10000 && bytes <= 4 << 20))

for s in $servers; do qps[$s]=; done
for round in $(seq "$REPEATS"); do
	seq 20000 | sed "s/.*/r$round-&.bench.example A/" >"$work/fresh"
	for s in $servers; do
		start $s
		set -- $(load $s "$work/fresh" -n 1 -q 50)
		qps[$s]+=" $1"
		[ "$2" = 0 ] || echo "  $s lost $2 queries"
	done
done
for s in $servers; do row "uncached, queries per CPU second" $s ${qps[$s]}; m[$s]=$median; done
goal "not slower than unbound forwarding" $((m[emberbox] >= m[unbound]))
exit $failed
