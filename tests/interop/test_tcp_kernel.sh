#!/bin/bash
# Our TCP inside the tunnel (core/tcp) against the kernel's, over a TUN device: serving and connecting, 60 KB answers, loss (spec 30 §10.4, §11).
#
# needs: root
# packages: ip:iproute2 tc:iproute2 python3:python3 dig:bind9-dnsutils
# timeout: 600
#
# Everything happens in one network namespace: the kernel has 100.64.0.1 and fd00::1, ours are 100.100.111.1 and fd00:53::1.
. "$(dirname "$0")/lib.sh"
needs_driver tcp_driver
PREFIX=tcp_kernel_
ns=eb-tcp-$$ dev=ebtcp$$
remove_namespace() { ip netns del "$ns" 2>/dev/null; }
AT_END+=(remove_namespace)

inside() { ip netns exec "$ns" "$@"; }
peer() { inside timeout 100 python3 tests/interop/tcp_kernel.py "$@"; }

device_up() {
	inside ip addr add 100.64.0.1/32 dev "$dev" 2>/dev/null
	inside ip addr add fd00::1/128 dev "$dev" nodad 2>/dev/null
	inside ip link set "$dev" mtu 1280 up &&
		inside ip route add 100.100.111.0/24 dev "$dev" &&
		inside ip -6 route add fd00:53::/64 dev "$dev"
}

start_server() { # start_server LOSS
	launch driver ip netns exec "$ns" "$driver" "$dev" "$1" serve 100.100.111.1 fd00:53::1
	wait_log driver ready && device_up
}

# Delay, disorder and more loss in what the kernel sends, where the kernel has it; the driver loses packets both ways by itself.
netem() { inside tc qdisc replace dev "$dev" root netem "$@" 2>/dev/null; }

fetch() { # fetch LOSS LOCAL REMOTE BYTES
	: >"$work/fetch.log" # the child opens it only after the pipe
	rm -f "$work/go"
	mkfifo "$work/go"
	ip netns exec "$ns" timeout 100 "$driver" "$dev" "$1" fetch "$2" "$3" "$4" <"$work/go" >"$work/fetch.log" 2>&1 &
	PIDS[fetch]=$!
	exec 8>"$work/go"
	wait_log fetch ready && device_up
	[ "$1" = 0 ] || netem delay 5ms loss 2%
	echo >&8
	exec 8>&-
	wait "${PIDS[fetch]}"
	unset "PIDS[fetch]"
	cat "$work/fetch.log"
	grep -q "^fetched $4" "$work/fetch.log"
}

dig_big() { inside dig +tcp +time=20 +tries=1 @"$1" "$2-records.example" TXT >"$work/dig.out" && [ "$(grep -c 'IN.TXT."' "$work/dig.out")" -eq "$2" ]; }

must ip netns add "$ns"
inside ip link set lo up

must start_server 0
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
	skip dig "no dig"
fi
check ten_connections_and_no_more peer many 100.100.111.1
stop driver

must start_server 30
netem delay 10ms 3ms loss 2% duplicate 1% || echo "note no netem in this kernel: loss by the driver only"
check lossy_echo peer echo 100.100.111.1 100000
check lossy_echo_v6 peer echo fd00:53::1 100000
check lossy_dns_60_kb peer dns 100.100.111.1 240 240
stop driver

launch serve ip netns exec "$ns" python3 tests/interop/tcp_kernel.py serve :: 8053
must wait_log serve ready
check we_connect fetch 0 100.100.111.2 100.64.0.1:8053 200000
check we_connect_v6 fetch 0 fd00:53::2 "[fd00::1]:8053" 200000
check we_connect_lossy fetch 30 100.100.111.2 100.64.0.1:8053 100000
finish
