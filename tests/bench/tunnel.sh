#!/bin/bash
# Throughput, CPU, memory and round trip of a tunnel: emberbox against the newest wireguard-go, OpenVPN and no tunnel at all, in one run.
#
#	make bench BENCH=tunnel            or, with less patience:
#	SECS=2 REPEATS=1 PEERS="emberbox wireguard" tests/bench/tunnel.sh
#
# needs: root
# packages: ip:iproute2 ping:iputils-ping wg:wireguard-tools openvpn:openvpn openssl:openssl iperf3:iperf3 python3:python3
#
# Two namespaces and one cable with MTU 1500; in it one tunnel at a time with inner MTU 1280, measured with one TCP stream up, one down,
# and an idle ping. Everything takes turns REPEATS times, so that a machine that drifts drifts for all. CPU is user and system time of
# both ends' processes per GB moved. What counts are the ratios at the end: absolute figures say more of the machine (performance.md).
# Goals are those of performance.md §9 and are printed beside what was reached; the exit status tells only whether it could be measured.
. "$(dirname "$0")/../e2e/lib.sh"

SECS=${SECS:-5}
REPEATS=${REPEATS:-3}
PEERS=${PEERS:-emberbox wireguard openvpn-aes openvpn-chacha none}
STREAMS=${STREAMS:-1}
go_dir=${WIREGUARD_GO_DIR:-$ROOT/build/interop}
wireguard_version=v0.0.0-20260522210424-ecfc5a8d5446
dev=ebb$$
results=$E2E/results

# ---- the peers: NAME_up starts both ends and sets `target` (what the client side reaches); `ends` are their processes -------------

none_up() { target=10.0.0.2 ends=; }

wireguard_prepare() {
	command -v wg >/dev/null || return
	[ -x "$go_dir/wireguard" ] || {
		command -v go >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends golang-go >/dev/null 2>&1
		mkdir -p "$go_dir" && GOBIN=$go_dir timeout 300 go install "golang.zx2c4.com/wireguard@$wireguard_version"
	} >"$E2E/go.out" 2>&1
	[ -x "$go_dir/wireguard" ] || return
	umask 077
	wg genkey >"$E2E/a.key" && wg genkey >"$E2E/b.key" && wg genpsk >"$E2E/psk"
}

wireguard_end() { # wireguard_end PLACE KEY OTHERS_KEY ADDRESS OTHERS_ADDRESS OTHERS_ENDPOINT
	start "wg-$1" "$1" env LOG_LEVEL=error "$go_dir/wireguard" -f "$dev$1"
	wait_for 50 test -S "/var/run/wireguard/$dev$1.sock" || return
	in_ns "$1" wg set "$dev$1" private-key "$E2E/$2.key" listen-port 51820 peer "$(wg pubkey <"$E2E/$3.key")" \
		preshared-key "$E2E/psk" allowed-ips "$5/32" endpoint "$6:51820" || return
	ip -n "$P-$1" addr add "$4/24" dev "$dev$1"
	ip -n "$P-$1" link set "$dev$1" mtu 1280 up
}

wireguard_up() {
	wireguard_end a a b 10.8.0.1 10.8.0.2 10.0.0.2 && wireguard_end b b a 10.8.0.2 10.8.0.1 10.0.0.1 || return
	target=10.8.0.2 ends="wg-a wg-b"
}

openvpn_prepare() {
	command -v openvpn >/dev/null || return
	local who
	for who in a b; do
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$who" \
			-keyout "$E2E/$who.pem" -out "$E2E/$who.crt" 2>/dev/null || return
	done
}
print_of() { openssl x509 -noout -fingerprint -sha256 -in "$E2E/$1.crt" | cut -d= -f2; }

openvpn_end() { # openvpn_end PLACE ROLE OTHER CIPHER REMOTE OWN_ADDRESS OTHERS_ADDRESS
	start "ovpn-$1" "$1" openvpn --dev ovpn --dev-type tun --proto udp --port 1194 --remote "$5" --"$2" \
		--cert "$E2E/$1.crt" --key "$E2E/$1.pem" --peer-fingerprint "$(print_of "$3")" $([ "$2" = tls-server ] && echo --dh none) \
		--data-ciphers "$4" --disable-dco --tun-mtu 1280 --ifconfig "$6" "$7" --fast-io --txqueuelen 1000 --verb 3
}

openvpn_up() { # openvpn_up CIPHER
	openvpn_end b tls-server a "$1" 10.0.0.1 10.7.0.2 10.7.0.1
	openvpn_end a tls-client b "$1" 10.0.0.2 10.7.0.1 10.7.0.2
	wait_log ovpn-a 'Initialization Sequence Completed' 20 && wait_log ovpn-b 'Initialization Sequence Completed' 20 || return
	target=10.7.0.2 ends="ovpn-a ovpn-b"
}
openvpn-aes_prepare() { openvpn_prepare; }
openvpn-aes_up() { openvpn_up AES-256-GCM; }
openvpn-chacha_prepare() { openvpn_prepare; }
openvpn-chacha_up() { openvpn_up CHACHA20-POLY1305; }

# The whole product: client in a; gateway, portal and relay in b, which is also what lies behind the gateway.
emberbox_prepare() {
	API_URL=ws://10.0.0.2:13001
	has_applet client && has_applet gateway && has_applet relay && make_portal && ip -n "$P-b" addr add 10.9.0.80/32 dev lo
}
emberbox_up() {
	start_portal b || return
	start relay b env FIREZONE_TOKEN="$RELAY_TOKEN" FIREZONE_NAME=relay "$EMBERBOX" relay --public-ip4-addr 10.0.0.2 \
		--health-check-addr 127.0.0.1:8081 --api-url "$API_URL"
	has_joined relay || return
	start gateway b env FIREZONE_TOKEN="$GATEWAY_TOKEN" FIREZONE_NAME=gateway FIREZONE_ID="$P-g" "$EMBERBOX" gateway --api-url "$API_URL"
	has_joined gateway || return
	start client a env FIREZONE_TOKEN="$CLIENT_TOKEN" FIREZONE_NAME=client FIREZONE_ID="$P-c" "$EMBERBOX" client \
		--dns-control disabled --api-url "$API_URL"
	target=10.9.0.80 ends="client gateway"
	wait_for 100 in_ns a ping -c1 -W1 "$target"
}

prepare() { ! declare -F "$1_prepare" >/dev/null || "$1_prepare"; }
take_down() {
	local name
	for name in client gateway relay portal wg-a wg-b ovpn-a ovpn-b; do stop "$name" >/dev/null; done
	return 0
}

# ---- measuring --------------------------------------------------------------------------------------------------------------

ticks_of_ends() {
	local sum=0 e
	for e in $ends; do sum=$((sum + $(cpu_ticks "$e"))); done
	echo $sum
}

peak_kib() { awk '/^VmHWM:/ { print $2 }' "/proc/${PIDS[$1]}/status"; }

# stream PEER METRIC IPERF_OPTIONS: Gbit/s, and CPU seconds of both ends per GB
stream() {
	local peer=$1 metric=$2 before after
	shift 2
	before=$(ticks_of_ends)
	in_ns a iperf3 -J -c "$target" -t "$SECS" -P "$STREAMS" "$@" >"$E2E/iperf.json" || { cat "$E2E/iperf.json" && return 1; }
	after=$(ticks_of_ends)
	python3 - "$peer" "$metric" $((after - before)) "$(getconf CLK_TCK)" "$E2E/iperf.json" <<-'END' >>"$results"
		import json, sys
		peer, metric, ticks, hz, path = sys.argv[1:]
		got = json.load(open(path))["end"]["sum_received"]
		print(peer, metric + "_gbit", got["bits_per_second"] / 1e9)
		if int(ticks):
		    print(peer, metric + "_cpu", int(ticks) / int(hz) / (got["bytes"] / 1e9))
	END
}

idle_ping() { # median of 200 round trips, ms
	in_ns a ping -q -i 0.01 -c 200 "$target" >/dev/null && in_ns a ping -i 0.01 -c 200 "$target" |
		sed -n 's/.*time=\([0-9.]*\).*/\1/p' | sort -n | awk -v p="$1" '{ t[NR] = $1 } END { print p, "rtt_ms", t[int((NR + 1) / 2)] }' >>"$results"
}

measure() {
	local peer=$1 e max=0 kib
	start iperf b iperf3 --forceflush -s -B "$target"
	wait_log iperf "[Ll]istening" 5 || return
	idle_ping "$peer" && stream "$peer" up && stream "$peer" down -R || return
	for e in $ends; do
		kib=$(peak_kib "$e")
		[ "$kib" -gt "$max" ] && max=$kib
	done
	[ "$max" -gt 0 ] && echo "$peer rss_mib $((max / 1024))" >>"$results"
	stop iperf
	return 0
}

report() {
	python3 - "$results" "$REPEATS" "$SECS" "$STREAMS" <<-'END'
		import sys, statistics, collections
		runs = collections.defaultdict(lambda: collections.defaultdict(list))
		peers = []
		for line in open(sys.argv[1]):
		    peer, metric, value = line.split()
		    if peer not in peers: peers.append(peer)
		    runs[metric][peer].append(float(value))
		names = {"up_gbit": "TCP up, Gbit/s", "down_gbit": "TCP down, Gbit/s", "up_cpu": "CPU s/GB, up", "down_cpu": "CPU s/GB, down",
		         "rss_mib": "peak RSS, MiB", "rtt_ms": "idle round trip, ms"}
		print(f"\n{sys.argv[2]} repeats of {sys.argv[3]} s, {sys.argv[4]} stream(s); min / median / max\n")
		print(f"{'':22}" + "".join(f"{p:>26}" for p in peers))
		mid = collections.defaultdict(dict)
		for m, title in names.items():
		    row = f"{title:22}"
		    for p in peers:
		        v = runs[m].get(p)
		        if v: mid[m][p] = statistics.median(v)
		        row += f"{'-' if not v else f'{min(v):.2f} / {statistics.median(v):.2f} / {max(v):.2f}':>26}"
		    print(row)
		def ratio(title, m, a, b, goal, high):
		    if a in mid[m] and b in mid[m] and mid[m][b]:
		        r = mid[m][a] / mid[m][b]
		        good = r >= goal if high else r <= goal
		        print(f"{title:44}{r:8.2f}   goal {'>=' if high else '<='} {goal:<5} {'reached' if good else 'MISSED'}")
		print()
		vpns = [p for p in peers if p.startswith("openvpn")]
		for d in ("up", "down"):
		    ratio(f"emberbox / wireguard-go, throughput {d}", f"{d}_gbit", "emberbox", "wireguard", 1.2, True)
		    ratio(f"emberbox / wireguard-go, CPU per GB {d}", f"{d}_cpu", "emberbox", "wireguard", 0.85, False)
		    best = max(vpns, key=lambda p: mid[f"{d}_gbit"].get(p, 0), default="")
		    ratio(f"emberbox / best OpenVPN, throughput {d}", f"{d}_gbit", "emberbox", best, 5, True)
		    ratio(f"emberbox / no tunnel, throughput {d}", f"{d}_gbit", "emberbox", "none", 0.2, True)
		ratio("emberbox / wireguard-go, round trip", "rtt_ms", "emberbox", "wireguard", 1.0, False)
		if "emberbox" in mid["rss_mib"]:
		    r = mid["rss_mib"]["emberbox"]
		    print(f"{'emberbox peak RSS, MiB':44}{r:8.0f}   goal <= 16    {'reached' if r <= 16 else 'MISSED'}")
	END
}

must place a b
must wire a eth0 10.0.0.1/24 b eth0 10.0.0.2/24
able=
for peer in $PEERS; do
	if prepare "$peer"; then
		able="$able $peer"
	else
		echo "skip $peer: not to be had here"
	fi
done
for ((round = 1; round <= REPEATS; round++)); do
	for peer in $able; do
		target='' ends=''
		if "${peer}_up" && measure "$peer"; then
			echo "  round $round: $peer $(grep "^$peer up_gbit" "$results" | tail -n 1 | awk '{ printf "%.2f Gbit/s up", $3 }')"
		else
			not_ok "measure_$peer"
			able=${able/ $peer/}
		fi
		stop iperf
		take_down
	done
done
[ -s "$results" ] && report
finish
