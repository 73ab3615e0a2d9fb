#!/bin/bash
# Our TCP inside the tunnel (core/tcp) against the kernel's, over a TUN device: serving and connecting, 60 KB answers, loss (spec 30 §10.4, §11).
#
# needs: root
# packages: ip:iproute2 tc:iproute2 python3:python3 dig:bind9-dnsutils
# timeout: 300
#
# Everything happens in one network namespace: the kernel has 100.64.0.1 and fd00::1, ours are 100.100.111.1 and fd00:53::1.
set -u
cd "$(dirname "$0")/../.."
driver=${INTEROP_BIN:-$PWD/build/static/tests/interop}/tcp_driver
ns=eb-tcp-$$ dev=ebtcp$$
work=${SCRATCH:-$(mktemp -d)}
failed=0
pids=()

[ -x "$driver" ] || { echo "not ok tcp_kernel: $driver is not built"; exit 1; }

cleanup() {
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
	wait 2>/dev/null
	ip netns del "$ns" 2>/dev/null
	[ -n "${SCRATCH:-}" ] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

inside() { ip netns exec "$ns" "$@"; }
peer() { inside timeout 100 python3 tests/interop/tcp_kernel.py "$@"; }

check() { # check NAME CMD…
	local name=$1
	shift
	if "$@" >"$work/out" 2>&1; then
		echo "ok tcp_kernel_$name"
	else
		failed=$((failed + 1))
		echo "not ok tcp_kernel_$name: $*"
		tail -n 5 "$work/out" | sed 's/^/    /'
		tail -n 3 "$work/driver.out" 2>/dev/null | sed 's/^/    driver: /'
	fi
}

await() { # await FILE PATTERN
	for _ in $(seq 100); do
		grep -q "$2" "$1" 2>/dev/null && return
		sleep 0.1
	done
	return 1
}

device_up() {
	inside ip addr add 100.64.0.1/32 dev "$dev" 2>/dev/null
	inside ip addr add fd00::1/128 dev "$dev" nodad 2>/dev/null
	inside ip link set "$dev" mtu 1280 up &&
		inside ip route add 100.100.111.0/24 dev "$dev" &&
		inside ip -6 route add fd00:53::/64 dev "$dev"
}

start_server() { # start_server LOSS
	: >"$work/driver.out"
	ip netns exec "$ns" "$driver" "$dev" "$1" serve 100.100.111.1 fd00:53::1 >"$work/driver.out" 2>&1 &
	server=$!
	pids+=("$server")
	await "$work/driver.out" ready && device_up
}

stop_server() {
	kill "$server" 2>/dev/null
	wait "$server" 2>/dev/null
}

# Delay, disorder and more loss in what the kernel sends, where the kernel has it; the driver loses packets both ways by itself.
netem() { inside tc qdisc replace dev "$dev" root netem "$@" 2>/dev/null; }

fetch() { # fetch LOSS LOCAL REMOTE BYTES
	: >"$work/fetch.out"
	rm -f "$work/go"
	mkfifo "$work/go"
	ip netns exec "$ns" timeout 100 "$driver" "$dev" "$1" fetch "$2" "$3" "$4" <"$work/go" >"$work/fetch.out" 2>&1 &
	local pid=$!
	exec 8>"$work/go"
	await "$work/fetch.out" ready && device_up
	[ "$1" = 0 ] || netem delay 5ms loss 2%
	echo >&8
	exec 8>&-
	wait "$pid"
	cat "$work/fetch.out"
	grep -q "^fetched $4" "$work/fetch.out"
}

dig_big() { inside dig +tcp +time=20 +tries=1 @"$1" "$2-records.example" TXT >"$work/dig.out" && [ "$(grep -c 'IN.TXT."' "$work/dig.out")" -eq "$2" ]; }

ip netns add "$ns" || { echo "not ok tcp_kernel: no namespace"; exit 1; }
inside ip link set lo up

start_server 0 || { echo "not ok tcp_kernel: no device"; cat "$work/driver.out"; exit 1; }
check echo peer echo 100.100.111.1 300000
check echo_v6 peer echo fd00:53::1 300000
check one_byte peer echo 100.100.111.1 1
check nothing_but_ends peer echo 100.100.111.1 0
check reader_with_a_small_window peer slow 100.100.111.1 100000
check dns_60_kb_answer peer dns 100.100.111.1 240
check dns_pipelined peer dns fd00:53::1 1 240 3 240 5 100 2
if command -v dig >/dev/null; then
	check dig_small dig_big 100.100.111.1 2
	check dig_60_kb dig_big 100.100.111.1 240
	check dig_60_kb_v6 dig_big fd00:53::1 240
else
	echo "skip tcp_kernel_dig: no dig"
fi
check ten_connections_and_no_more peer many 100.100.111.1
stop_server

start_server 30 || { echo "not ok tcp_kernel: no second device"; exit 1; }
netem delay 10ms 3ms loss 2% duplicate 1% || echo "note no netem in this kernel: loss by the driver only"
check lossy_echo peer echo 100.100.111.1 100000
check lossy_echo_v6 peer echo fd00:53::1 100000
check lossy_dns_60_kb peer dns 100.100.111.1 240 240
stop_server

ip netns exec "$ns" python3 tests/interop/tcp_kernel.py serve :: 8053 >"$work/serve.out" 2>&1 &
pids+=($!)
await "$work/serve.out" ready
check we_connect fetch 0 100.100.111.2 100.64.0.1:8053 200000
check we_connect_v6 fetch 0 fd00:53::2 "[fd00::1]:8053" 200000
check we_connect_lossy fetch 30 100.100.111.2 100.64.0.1:8053 100000
[ "$failed" -eq 0 ]
