#!/bin/bash
# What names cost the one who asks: through the client to a resolver against straight to it; the first connection to a name of a resource;
# memory with 100 such resources, and with 10,000 names in the cache.
#
#	make bench BENCH=names            or, with less patience:
#	REPEATS=1 QUERIES=200 tests/bench/names.sh
#
# needs: root
# packages: ip:iproute2 nft:nftables curl:curl python3:python3 dnsmasq:dnsmasq-base
#
# The client's machine is RTT_MS away from everybody else, by a TUN in its router that holds each packet for half of that (kernels without
# netem can do it). Each repeat starts a client anew. A query is for a name that was never asked before, so no cache knows it. A first
# connection may take 3 round trips and 50 ms; 3 more while there is no connection to the gateway. Goals are printed beside what was
# reached; the exit status tells only whether it could be measured.
. "$(dirname "$0")/../e2e/lib.sh"

REPEATS=${REPEATS:-3} QUERIES=${QUERIES:-1000} RTT_MS=${RTT_MS:-20} NAMES=10000 RESOURCES=100
SITE_DNS=10.3.0.80 PUBLIC_DNS=198.51.100.1
resolv_conf=$E2E/etc-client/resolv.conf
results=$E2E/results
fails() {
	not_ok "measuring: $*"
	exit 1
}

resolver() { # resolver NAME PLACE ADDRESS DOMAIN REAL-ADDRESS: everything below DOMAIN is at REAL-ADDRESS
	start "$1" "$2" dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --pid-file= --no-resolv --no-hosts --local='/#/' \
		--local-ttl=300 --log-facility=- --listen-address="$3" --bind-interfaces --address="/$4/$5"
	wait_log "$1" started
}

# Packets that the client's router forwards pass through this TUN and come back half a round trip later.
delay() {
	cat >"$E2E/delay.py" <<-'END'
		import collections, fcntl, os, select, struct, sys, time
		tun = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
		fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH', b'delay', 0x1001))
		os.system('ip link set delay up')
		print('delaying', flush=True)
		held, waits, wheel = collections.deque(), float(sys.argv[1]) / 1000, select.poll()
		wheel.register(tun, select.POLLIN)
		while True:
		    left = held[0][0] - time.monotonic() if held else 1
		    if left <= 0:
		        os.write(tun, held.popleft()[1])
		    elif left < 0.001 or not wheel.poll(left * 1000 - 1):
		        while held and held[0][0] > time.monotonic() and not wheel.poll(0):
		            pass
		    try:
		        held.append((time.monotonic() + waits, os.read(tun, 65536)))
		    except BlockingIOError:
		        pass
	END
	start delay cnat python3 -u "$E2E/delay.py" "$(awk "BEGIN { print $RTT_MS / 2 }")"
	wait_log delay delaying && ip -n "$P-cnat" route add default dev delay table 100 &&
		ip -n "$P-cnat" rule add iif lan table 100 && ip -n "$P-cnat" rule add iif wan table 100
}

cat >"$E2E/names.py" <<'END'
import os, socket, statistics, struct, sys, time

def query(name, number):
    labels = b''.join(bytes([len(l)]) + l.encode() for l in name.split('.'))
    return struct.pack('>6H', number, 0x100, 1, 0, 0, 0) + labels + b'\0\0\1\0\1'

def opened(server):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(5)
    s.connect((server, 53))
    return s

def ask(s, name, number=1):
    s.send(query(name, number))
    answer = s.recv(4096)
    assert answer[:2] == struct.pack('>H', number) and answer[3] & 15 == 0, answer
    return socket.inet_ntoa(answer[-4:])

def added(sentinel, direct, count): # median of either way, in turns; the first tenth is for warming up
    ways, took = (opened(direct), opened(sentinel)), ([], [])
    run = os.urandom(4).hex()
    for i in range(count):
        for w in (i & 1, 1 - (i & 1)):
            begin = time.perf_counter()
            ask(ways[w], f'{"ds"[w]}{i}.{run}.public.example')
            took[w].append((time.perf_counter() - begin) * 1000)
    a, b = (statistics.median(t[count // 10:]) for t in took)
    print(f'{a:.3f} {b:.3f} {b - a:.3f}')

def first(sentinel, *names): # from the query to the first byte of the answer, for each
    s, took = opened(sentinel), []
    for name in names:
        begin = time.perf_counter()
        address = ask(s, name)
        t = socket.create_connection((address, 80), 20)
        t.sendall(f'GET /small HTTP/1.1\r\nHost: {name}\r\n\r\n'.encode())
        assert t.recv(4096).startswith(b'HTTP/1.1 200')
        took.append((time.perf_counter() - begin) * 1000)
        t.close()
    print(f'{statistics.median(took):.1f}')

def round_trip(host, port):
    took = []
    for i in range(5):
        begin = time.perf_counter()
        socket.create_connection((host, int(port)), 5).close()
        took.append((time.perf_counter() - begin) * 1000)
    print(f'{min(took):.1f}')

def many(server, count, run, order): # different names, 32 under way
    s, sent, got = opened(server), 0, 0
    number = (lambda i: i) if order == 'up' else (lambda i: count - 1 - i)
    while got < count:
        while sent < count and sent - got < 32:
            s.send(query(f'host-{number(sent)}.{run}.public.example', sent & 0xffff))
            sent += 1
        assert s.recv(4096)[3] & 15 == 0
        got += 1

{'added': lambda a, b, n: added(a, b, int(n)), 'first': first, 'round_trip': round_trip,
 'many': lambda a, n, run, order: many(a, int(n), run, order)}[sys.argv[1]](*sys.argv[2:])
END
asked() { # how many queries the public resolver has answered
	local lines
	lines=$(grep -c 'queries answered locally' "$E2E/public_dns.log")
	kill -USR1 "${PIDS[public_dns]}"
	wait_for 50 eval '[ "$(grep -c "queries answered locally" "$E2E/public_dns.log")" -gt '"$lines" ]
	sed -n 's/.*queries answered locally \([0-9]*\).*/\1/p' "$E2E/public_dns.log" | tail -n 1
}
names() { in_ns client python3 "$E2E/names.py" "$@"; }
sentinel() { sed -n 's/^nameserver \(100\.100\.111\..*\)/\1/p' "$resolv_conf" | head -n 1; }
has_sentinel() { [ -n "$(sentinel)" ]; }
launch_client() {
	DNS_CONTROL=etc-resolv-conf RUST_LOG=info start_client
	wait_for 150 has_route && wait_for 50 has_sentinel
}
halt_client() {
	stop client && ! has_sentinel
}

# ---- the world --------------------------------------------------------------------------------------------------------------

resources() {
	local i
	for ((i = 0; i < RESOURCES; i++)); do
		admin resource add --site Berlin --address "*.wild$i.internal" --name "wild$i" --ip-stack ipv4-only &&
			admin policy add --group Everyone --resource "wild$i" || return
	done
}
world() {
	internet none none && start_web && own_etc client && own_etc gateway &&
		resolver site_dns web $SITE_DNS internal 10.9.0.80 && resolver public_dns inet $PUBLIC_DNS public.example 198.51.100.80 &&
		make_portal && resources >"$E2E/resources-setup.log" 2>&1 || return
	echo "nameserver $PUBLIC_DNS" >"$resolv_conf"
	echo "nameserver $SITE_DNS" >"$E2E/etc-gateway/resolv.conf"
	start_portal && start_relay relay && has_joined relay && start_gateway gateway && has_joined gateway
}
export RUST_LOG=info
world || fails "the network does not work"

# ---- measuring --------------------------------------------------------------------------------------------------------------

one_repeat() {
	local rss asked_before
	launch_client || return
	sleep 6 # beyond the client's first look at the resolv.conf it wrote, which empties its cache
	rss=$(rss_kib client)
	echo "idle $rss" && echo "added $(names added "$(sentinel)" $PUBLIC_DNS "$QUERIES")" || return
	rss=$(rss_kib client)
	names many "$(sentinel)" $NAMES "again$1" up && echo "cache $(($(rss_kib client) - rss))" || return
	asked_before=$(asked)
	names many "$(sentinel)" $NAMES "again$1" down && echo "kept $((NAMES - $(asked) + asked_before))" && halt_client || return
	delay && launch_client || return
	sleep 0.5
	echo "round_trip $(names round_trip 198.51.100.2 13001)"
	echo "all_new $(names first "$(sentinel)" "a$1.wild0.internal")"
	echo "new_resource $(names first "$(sentinel)" "b$1".wild{1..5}.internal)"
	echo "new_name $(names first "$(sentinel)" {g,h,i,j,k,l,m}"$1.wild0.internal")"
	halt_client && stop delay KILL
	ip -n "$P-cnat" rule del iif lan && ip -n "$P-cnat" rule del iif wan
}
echo "names: $REPEATS repeats of $QUERIES queries, $RESOURCES resources, a round trip of $RTT_MS ms to portal, relay and gateway"
for ((r = 1; r <= REPEATS; r++)); do one_repeat $r >>"$results" || fails "repeat $r"; done

# row WHAT UNIT KEY COLUMN [GOAL]: min, median, max of the repeats
row() {
	awk -v key="$3" -v column="$4" '$1 == key { print $column }' "$results" | sort -n | awk -v what="$1" -v unit="$2" -v goal="${5:-}" '
		{ v[NR] = $1 }
		END {
			median = v[int((NR + 1) / 2)]
			printf "%-58s %9s %9s %9s %s", what, v[1], median, v[NR], unit
			if (goal != "") printf "   goal %s: %s", goal, (median <= goal + 0 ? "met" : "MISSED")
			print ""
		}'
}
median_of() { awk -v key="$1" '$1 == key { print $2 }' "$results" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
rtt=$(median_of round_trip)
goal=$(awk "BEGIN { printf \"%.1f\", 3 * $rtt + 50 }")
printf '%-58s %9s %9s %9s\n' "" min median max
row "query straight to the resolver" ms added 2
row "query through the client" ms added 3
row "added by the client" ms added 4 0.2
row "round trip to portal and gateway (TCP connect)" ms round_trip 2
row "query to first byte: connection to the gateway, too" ms all_new 2 "$(awk "BEGIN { print $goal + 3 * $rtt }")"
row "query to first byte: first of a resource" ms new_resource 2 "$goal"
row "query to first byte: another name of a resource" ms new_name 2 "$goal"
row "client's RSS, idle, $RESOURCES DNS resources" KiB idle 2 5120
row "more with $NAMES names asked" KiB cache 2 4096
row "of these, how many the cache still knows" names kept 2
