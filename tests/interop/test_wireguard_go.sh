#!/bin/bash
# Our WireGuard engine against wireguard-go: both roles with PSK, data, rekeying, cookies, roaming (spec 20 §6, items 37, 41-43).
#
# needs: root
# packages: ip:iproute2 ping:iputils-ping wg:wireguard-tools
# timeout: 420
# timed: a machine that is too busy loses packets
# lasts: 60
#
# wireguard-go comes through the Go module proxy, once, into $WIREGUARD_GO_DIR (default build/interop); where it cannot be had, all
# tests are skipped. Everything happens in two network namespaces, ours (east) and theirs (west).
. "$(dirname "$0")/lib.sh"
PREFIX=wireguard_go_
go_dir=${WIREGUARD_GO_DIR:-$ROOT/build/interop}
version=v0.0.0-20260522210424-ecfc5a8d5446
east=eb-wg-east-$$ west=eb-wg-west-$$ dev=ebwg$$
tests="we_initiate_with_psk data_from_us data_from_them large_packets they_initiate other_psk_is_refused rekey_without_loss
	their_rekey_without_loss we_roam they_roam we_honour_their_cookie they_honour_our_cookie idle_keepalive"

skip_all() {
	for t in $tests; do skip "$t" "$1"; done
	finish
}

get_wireguard_go() {
	wireguard_go=$go_dir/wireguard
	[ -x "$wireguard_go" ] && return
	if ! command -v go >/dev/null; then
		DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends golang-go >/dev/null 2>&1 ||
			skip_all "no Go compiler to be had"
	fi
	mkdir -p "$go_dir" || skip_all "cannot write $go_dir"
	GOBIN=$go_dir timeout 240 go install "golang.zx2c4.com/wireguard@$version" >"$work/go.log" 2>&1 || {
		tail -n 5 "$work/go.log"
		skip_all "wireguard-go cannot be fetched or built"
	}
}

remove_networks() {
	ip netns del "$east" 2>/dev/null
	ip netns del "$west" 2>/dev/null
	rm -f "/var/run/wireguard/$dev.sock"
}
AT_END+=(remove_networks)

in_east() { ip netns exec "$east" "$@"; }
in_west() { ip netns exec "$west" "$@"; }
wg_west() { in_west wg "$@"; }

set_up_network() {
	ip netns add "$east" && ip netns add "$west" || skip_all "no network namespaces"
	in_east ip link add v0 type veth peer name v1
	in_east ip link set v1 netns "$west"
	in_east ip addr add 10.99.0.1/24 dev v0
	in_west ip addr add 10.99.0.2/24 dev v1
	for ns in "$east" "$west"; do ip -n "$ns" link set lo up; done
	in_east ip link set v0 up
	in_west ip link set v1 up
}

make_keys() {
	umask 077
	east_key=$(wg genkey) west_key=$(wg genkey) psk=$(wg genpsk)
	east_pub=$(echo "$east_key" | wg pubkey)
	west_pub=$(echo "$west_key" | wg pubkey)
	echo "$west_key" >"$work/west.key"
	echo "$psk" >"$work/psk"
	wg genpsk >"$work/other.psk"
}

start_wireguard_go() {
	LOG_LEVEL=verbose launch wireguard-go ip netns exec "$west" "$wireguard_go" -f "$dev"
	wait_for 200 test -S "/var/run/wireguard/$dev.sock" || skip_all "wireguard-go does not start"
	wg_west set "$dev" private-key "$work/west.key" listen-port 51820
	in_west ip addr add 10.98.0.2/24 dev "$dev"
	in_west ip link set "$dev" mtu 1280 up
}

# west_knows_us [ENDPOINT]: a fresh peer, so that wireguard-go has no session with us
west_knows_us() {
	wg_west set "$dev" peer "$east_pub" remove
	wg_west set "$dev" peer "$east_pub" preshared-key "${1:-$work/psk}" allowed-ips 10.98.0.1/32 ${2:+endpoint "$2"}
}

# start_driver [PEER_IP PEER_PORT]
start_driver() {
	stop_driver
	rm -f "$work/commands"
	mkfifo "$work/commands"
	ip netns exec "$east" "$driver" tun0 51821 "$east_key" "$west_pub" "$psk" "$@" <"$work/commands" >"$work/driver.log" 2>&1 &
	PIDS[driver]=$!
	exec 7>"$work/commands"
	wait_for 200 grep -q ready "$work/driver.log" || return 1
	in_east ip addr add 10.98.0.1/24 dev tun0
	in_east ip link set tun0 mtu 1280 up
}

stop_driver() {
	[ -n "${PIDS[driver]:-}" ] || return 0
	echo quit >&7
	exec 7>&-
	wait "${PIDS[driver]}" 2>/dev/null
	unset "PIDS[driver]"
}

tell() { echo "$*" >&7; }

stat_of() { # stat_of NAME: the driver's counter
	local lines
	lines=$(grep -c ^stats "$work/driver.log")
	tell stats
	wait_for 100 has_more_stats "$lines" || return 1
	grep ^stats "$work/driver.log" | tail -n 1 | tr ' ' '\n' | sed -n "s/^$1=//p"
}
has_more_stats() { [ "$(grep -c ^stats "$work/driver.log")" -gt "$1" ]; }

ping_west() { in_east ping -q -n -W 2 "$@" 10.98.0.2 >"$work/ping.out" 2>&1; }
ping_east() { in_west ping -q -n -W 2 "$@" 10.98.0.1 >"$work/ping.out" 2>&1; }
lost_nothing() { grep -q ' 0% packet loss' "$work/ping.out" || { cat "$work/ping.out"; return 1; }; }

test_we_initiate_with_psk() {
	west_knows_us
	start_driver 10.99.0.2 51820 && ping_west -c 3 -i 0.2 && lost_nothing && [ "$(stat_of responses_in)" = 1 ]
}
test_data_from_us() { ping_west -c 300 -i 0.005 && lost_nothing; }
test_data_from_them() { ping_east -c 300 -i 0.005 && lost_nothing; }
# 1252 + 28 fill the MTU; the odd sizes are padded by wireguard-go and not by us
test_large_packets() {
	for size in 1252 1251 57 1 0; do
		ping_west -c 5 -i 0.01 -M "do" -s $size && lost_nothing || return 1
		ping_east -c 5 -i 0.01 -M "do" -s $size && lost_nothing || return 1
	done
}
test_they_initiate() {
	start_driver || return 1
	west_knows_us "$work/psk" 10.99.0.1:51821
	ping_east -c 3 -i 0.2 && lost_nothing && ping_west -c 20 -i 0.01 && lost_nothing &&
		[ "$(stat_of responses_out)" -ge 1 ] && [ "$(stat_of initiations_out)" = 0 ]
}
test_other_psk_is_refused() {
	start_driver 10.99.0.2 51820 || return 1
	west_knows_us "$work/other.psk"
	ping_west -c 2 -i 0.5 && return 1
	[ "$(stat_of responses_in)" = 0 ] && [ "$(stat_of bad_handshake)" -ge 1 ] || return 1
	west_knows_us
	start_driver 10.99.0.2 51820 && ping_west -c 3 -i 0.2 && lost_nothing
}
# More handshakes than either side keeps sessions
test_rekey_without_loss() {
	local before
	before=$(stat_of responses_in)
	ping_east -c 400 -i 0.02 &
	local pinger=$!
	for _ in $(seq 20); do
		tell initiate
		sleep 0.35
	done
	wait $pinger
	lost_nothing && [ "$(stat_of responses_in)" -ge $((before + 18)) ]
}
# wireguard-go cannot be asked for a rekey; a peer it has forgotten makes it initiate while we hold the old sessions
test_their_rekey_without_loss() {
	local before
	before=$(stat_of initiations_in)
	for _ in 1 2 3; do
		west_knows_us "$work/psk" 10.99.0.1:51821
		ping_east -c 5 -i 0.05 && lost_nothing && ping_west -c 5 -i 0.05 && lost_nothing || return 1
	done
	[ "$(stat_of initiations_in)" = $((before + 3)) ]
}
test_we_roam() {
	tell rebind 51999
	ping_west -c 5 -i 0.05 && lost_nothing && ping_east -c 5 -i 0.05 && lost_nothing &&
		wg_west show "$dev" endpoints | grep -q '10.99.0.1:51999'
}
test_they_roam() {
	wg_west set "$dev" listen-port 51888
	ping_east -c 5 -i 0.05 && lost_nothing && ping_west -c 5 -i 0.05 && lost_nothing && [ "$(stat_of peer_port)" = 51888 ]
}
# Copies of one initiation fill its queue; for a second it then demands a cookie, which our next initiation must carry.
test_we_honour_their_cookie() {
	local answered cookies refused before
	for _ in 1 2 3 4 5; do
		tell flood 20000
		refused=-1 before=
		until [ "$refused" = "$before" ]; do # until it has worked off its queue: what comes to a full one is dropped
			before=$refused
			sleep 0.3
			refused=$(stat_of bad_handshake)
		done
		cookies=$(stat_of cookies_in) answered=$(stat_of responses_in)
		[ "$cookies" -ge 1 ] || continue
		tell initiate
		wait_for 30 has_one_more responses_in "$answered" && [ "$(stat_of cookies_in)" = "$cookies" ] && break
		return 1
	done
	[ "$cookies" -ge 1 ] && ping_west -c 5 -i 0.05 && lost_nothing
}
test_they_honour_our_cookie() {
	start_driver || return 1
	tell busy 2
	west_knows_us "$work/psk" 10.99.0.1:51821
	ping_east -c 3 -i 5 & # the repetition after 5 s carries the cookie
	local pinger=$! rc=0
	# Looked at when it is answered: their timer of the repetition is set after sending, so a quick answer may miss it and they begin again.
	wait_for 150 has_one_more responses_out 0 && [ "$(stat_of cookies_out)" = 1 ] && [ "$(stat_of responses_out)" = 1 ] || rc=1
	wait $pinger
	[ $rc = 0 ] && ping_east -c 5 -i 0.05 && lost_nothing
}
# Whoever got data and had nothing to say shows a sign of life after 10 s. Silence is made by ignoring pings.
has_one_more() { [ "$(stat_of "$1")" -gt "$2" ]; }
test_idle_keepalive() {
	local before
	before=$(stat_of keepalives_out)
	in_east sysctl -qw net.ipv4.icmp_echo_ignore_all=1
	ping_east -c 1 -W 1
	wait_for 200 has_one_more keepalives_out "$before"
	in_east sysctl -qw net.ipv4.icmp_echo_ignore_all=0
	[ "$(stat_of keepalives_out)" = $((before + 1)) ] || return 1
	before=$(stat_of keepalives_in)
	in_west sysctl -qw net.ipv4.icmp_echo_ignore_all=1
	ping_west -c 1 -W 1
	wait_for 200 has_one_more keepalives_in "$before"
	in_west sysctl -qw net.ipv4.icmp_echo_ignore_all=0
	[ "$(stat_of keepalives_in)" = $((before + 1)) ]
}

[ "$(id -u)" -eq 0 ] || skip_all "needs root"
[ -e /dev/net/tun ] || skip_all "no TUN device"
for tool in ip ping wg; do command -v $tool >/dev/null || skip_all "no $tool here"; done
needs_driver wg_driver
get_wireguard_go
make_keys
set_up_network
start_wireguard_go
for t in $tests; do
	"test_$t"
	verdict "$t" $?
done
finish
