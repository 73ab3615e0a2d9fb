# tests/e2e/lib.sh: a small internet in network namespaces, and the applets in it. Sourced by bash scripts:
#
#	#!/bin/bash
#	# needs: root
#	# packages: ip:iproute2 nft:nftables curl:curl python3:python3
#	. "$(dirname "$0")/lib.sh"
#	world cone symmetric            # or only `internet cone none`, and start what the test wants
#	check fetch_over_relay fetch http://10.9.0.80/small
#	finish
#
#                       ┌── portal   198.51.100.2     :13001
#                       ├── relay    203.0.113.2      :3478
#                       ├── relay2   203.0.113.66     :3478
#      inet (router) ───┤
#                       ├── cnat 192.0.2.2  ── NAT ── client   10.1.0.2
#                       └── gnat 198.18.0.2 ── NAT ┬─ gateway  10.2.0.2 ──10.3.0.0/24──┐
#                                                  └─ gateway2 10.2.1.2 ──10.4.0.0/24──┴── web 10.9.0.80
#
# Every place is a namespace of its own, named eb<pid>-<place>, so runs side by side never meet. All IPv4 places have an IPv6 twin,
# 2001:db8:<n>::/64, routed and guarded by the NATs' state but not translated; CLIENT_STACK and GATEWAY_STACK choose 4 (default), 6 or
# dual for the two sides. Everything that was started is stopped and everything that was made is removed at exit, also after Ctrl-C.
#
# Words: `in_ns PLACE CMD…` runs there; `start NAME PLACE CMD…` runs in the background with its output in $E2E/NAME.log; all others are those of
# tests/lib.sh.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

P=eb$$
E2E=$work
PREFIX=${SUITE}_
WAIT_SECS=10
API_URL=ws://198.51.100.2:13001
PLACES=()
declare -A HOSTED=()

remove_places() {
	local place pid
	for place in "${PLACES[@]}"; do
		for pid in $(ip netns pids "$P-$place" 2>/dev/null); do kill -9 "$pid" 2>/dev/null; done
		ip netns del "$P-$place" 2>/dev/null
		rm -rf "/etc/netns/$P-$place"
	done
	rmdir /etc/netns 2>/dev/null
}
AT_END+=(remove_places)

# ---- programs in places -----------------------------------------------------------------------------------------------------

# own_etc PLACE [FOLDER…]: from now on its programs see a copy of /etc, $E2E/etc-PLACE, in place of the machine's, and may change it; and
# folders that are empty at first, $E2E/FOLDER-PLACE, in place of those named
own_etc() {
	local place=$1 folder
	shift
	mkdir "$E2E/etc-$place" && find /etc -mindepth 1 -maxdepth 1 ! -name netns ! -name 'resolv.conf*' \
		-exec cp -a -t "$E2E/etc-$place" {} + || return
	{
		printf '#!/bin/sh\nmount --bind "%s" /etc || exit\n' "$E2E/etc-$place"
		for folder; do
			mkdir -p "$E2E$folder-$place" >&2
			printf 'mount --bind "%s" "%s" || exit\n' "$E2E$folder-$place" "$folder"
		done
		echo 'exec "$@"'
	} >"$E2E/hosted-$place"
	chmod +x "$E2E/hosted-$place"
	HOSTED[$place]="unshare -m $E2E/hosted-$place"
}

in_ns() { # in_ns PLACE CMD…
	local place=$1
	shift
	ip netns exec "$P-$place" ${HOSTED[$place]:-} "$@"
}

start() { # start NAME PLACE CMD…
	local name=$1 place=$2
	shift 2
	launch "$name" ip netns exec "$P-$place" ${HOSTED[$place]:-} "$@"
}

rss_kib() { awk '/^VmRSS:/ { print $2 }' "/proc/${PIDS[$1]}/status"; }
cpu_ticks() { awk '{ print $14 + $15 }' "/proc/${PIDS[$1]}/stat"; }

# ---- places and wires -------------------------------------------------------------------------------------------------------

place() { # place NAME…
	local name
	for name; do
		ip netns add "$P-$name" || return
		PLACES+=("$name")
		ip -n "$P-$name" link set lo up
		in_ns "$name" sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0 \
			net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 2>/dev/null
	done
	return 0
}

# wire A IF_A ADDRS_A B IF_B ADDRS_B: a cable; ADDRS is a comma list
wire() {
	ip -n "$P-$1" link add "$2" type veth peer name "$5" netns "$P-$4" || return
	ends "$1" "$2" "$3" && ends "$4" "$5" "$6"
}
ends() {
	local address
	for address in ${3//,/ }; do
		ip -n "$P-$1" addr add "$address" dev "$2" $([[ $address == *:* ]] && echo nodad) || return
	done
	ip -n "$P-$1" link set "$2" up
}

routes_by() { # routes_by PLACE STACK ROUTER4 ROUTER6
	case $2 in 4 | dual) ip -n "$P-$1" route add default via "$3" ;; esac || return
	case $2 in 6 | dual) ip -n "$P-$1" route add default via "$4" ;; esac
}

forwards() { in_ns "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1; }

# addresses STACK V4 V6: those of that stack
addresses() { case $1 in 4) echo "$2" ;; 6) echo "$3" ;; dual) echo "$2,$3" ;; esac; }

# nat PLACE KIND: between wan and lan*. `cone` keeps ports (mapping by source only, filtering by address and port), `symmetric` draws a
# new port for each destination, `none` routes. All but none let nothing in that was not asked for; a new packet from outside is
# dropped before it leaves a trace in the state, or it would take the port that the answer needs.
nat() {
	forwards "$1"
	in_ns "$1" nft flush ruleset
	local masquerade
	case $2 in
	none) return ;;
	cone) masquerade=masquerade ;;
	symmetric) masquerade="masquerade random,fully-random" ;;
	*) echo "no such kind of NAT: $2" >&2 && return 1 ;;
	esac
	in_ns "$1" nft -f - <<-END
		table inet nat {
			chain guard_input { type filter hook input priority 0; iifname "wan" ct state new drop; }
			chain guard_forward { type filter hook forward priority 0; iifname "wan" ct state new,invalid drop; }
			chain out { type nat hook postrouting priority 100; meta nfproto ipv4 oifname "wan" $masquerade; }
		}
	END
}

# internet CLIENT_NAT GATEWAY_NAT: all places and wires, nobody started
internet() {
	local cs=${CLIENT_STACK:-4} gs=${GATEWAY_STACK:-4}
	place inet portal relay relay2 cnat gnat client gateway gateway2 web || return
	wire inet portal 198.51.100.1/24,2001:db8:1::1/64 portal eth0 198.51.100.2/24,2001:db8:1::2/64 || return
	wire inet relay 203.0.113.1/26,2001:db8:2::1/64 relay eth0 203.0.113.2/26,2001:db8:2::2/64 || return
	wire inet relay2 203.0.113.65/26,2001:db8:3::1/64 relay2 eth0 203.0.113.66/26,2001:db8:3::2/64 || return
	wire inet cnat 192.0.2.1/24,2001:db8:4::1/64 cnat wan 192.0.2.2/24,2001:db8:4::2/64 || return
	wire inet gnat 198.18.0.1/24,2001:db8:5::1/64 gnat wan 198.18.0.2/24,2001:db8:5::2/64 || return
	wire cnat lan 10.1.0.1/24,2001:db8:11::1/64 client eth0 "$(addresses "$cs" 10.1.0.2/24 2001:db8:11::2/64)" || return
	wire gnat lan1 10.2.0.1/24,2001:db8:12::1/64 gateway eth0 "$(addresses "$gs" 10.2.0.2/24 2001:db8:12::2/64)" || return
	wire gnat lan2 10.2.1.1/24,2001:db8:13::1/64 gateway2 eth0 "$(addresses "$gs" 10.2.1.2/24 2001:db8:13::2/64)" || return
	wire gateway eth1 10.3.0.1/24,fd03::1/64 web eth0 10.3.0.80/24,fd03::80/64 || return
	wire gateway2 eth1 10.4.0.1/24,fd04::1/64 web eth1 10.4.0.80/24,fd04::80/64 || return
	ip -n "$P-web" addr add 10.9.0.80/32 dev lo
	ip -n "$P-web" addr add fd09::80/128 dev lo
	ip -n "$P-gateway" route add 10.9.0.0/24 via 10.3.0.80
	ip -n "$P-gateway2" route add 10.9.0.0/24 via 10.4.0.80
	ip -n "$P-gateway" route add fd09::/64 via fd03::80
	ip -n "$P-gateway2" route add fd09::/64 via fd04::80

	forwards inet
	ip -n "$P-inet" route add 2001:db8:11::/64 via 2001:db8:4::2
	ip -n "$P-inet" route add 2001:db8:12::/64 via 2001:db8:5::2
	ip -n "$P-inet" route add 2001:db8:13::/64 via 2001:db8:5::2
	[ "$1" = none ] && ip -n "$P-inet" route add 10.1.0.0/24 via 192.0.2.2
	[ "$2" = none ] && ip -n "$P-inet" route add 10.2.0.0/16 via 198.18.0.2
	routes_by portal dual 198.51.100.1 2001:db8:1::1 || return
	routes_by relay dual 203.0.113.1 2001:db8:2::1 || return
	routes_by relay2 dual 203.0.113.65 2001:db8:3::1 || return
	routes_by cnat dual 192.0.2.1 2001:db8:4::1 || return
	routes_by gnat dual 198.18.0.1 2001:db8:5::1 || return
	routes_by client "$cs" 10.1.0.1 2001:db8:11::1 || return
	routes_by gateway "$gs" 10.2.0.1 2001:db8:12::1 || return
	routes_by gateway2 "$gs" 10.2.1.1 2001:db8:13::1 || return
	nat cnat "$1" && nat gnat "$2"
}

# The client's uplink gets another address, as after changing networks.
client_moves() { # client_moves [LAST_BYTE]
	local n=${1:-66}
	ip -n "$P-client" addr flush dev eth0 scope global
	ip -n "$P-client" addr add "10.1.0.$n/24" dev eth0
	ip -n "$P-client" route replace default via 10.1.0.1
}

# ---- the applets ------------------------------------------------------------------------------------------------------------

has_applet() { "$EMBERBOX" --help 2>/dev/null | grep -qE "^ +$1( |\$)"; }
admin() { "$EMBERBOX" portal "$@" --dir "$E2E/portal"; }
new_token() { admin token add "$@" | awk '$1 == "token" { print $2 }'; }

# A portal's state with one account, one user, one site, and the resource 10.9.0.0/24 that everyone may reach; three tokens.
make_portal() {
	[ -d "$E2E/portal" ] && return
	{
		admin init && admin account add --name Acme --admin-email jo@acme.example && admin site add --name Berlin &&
			admin resource add --site Berlin --address 10.9.0.0/24 --name lab &&
			admin policy add --group Everyone --resource lab
	} >"$E2E/portal-setup.log" 2>&1 || { cat "$E2E/portal-setup.log" && return 1; }
	RELAY_TOKEN=$(new_token --relay)
	GATEWAY_TOKEN=$(new_token --site Berlin)
	CLIENT_TOKEN=$(new_token --actor jo@acme.example)
}

start_portal() { # start_portal [PLACE]
	make_portal || return
	start portal "${1:-portal}" "$EMBERBOX" portal serve --dir "$E2E/portal" --listen 0.0.0.0:13001 --listen '[::]:13001' \
		--socket-capacity 100 --socket-refill-rate 100
	wait_log portal 'portal is ready' 30
}

start_relay() { # start_relay [relay|relay2] [OPTIONS…]
	local where=${1:-relay} v4=203.0.113.2 v6=2001:db8:2::2
	[ $# -gt 0 ] && shift
	[ "$where" = relay2 ] && v4=203.0.113.66 v6=2001:db8:3::2
	start "$where" "$where" env FIREZONE_TOKEN="$RELAY_TOKEN" FIREZONE_NAME="$where" RUST_LOG="${RUST_LOG:-debug}" \
		"$EMBERBOX" relay --public-ip4-addr "$v4" --public-ip6-addr "$v6" --api-url "$API_URL" "$@"
}

start_gateway() { # start_gateway [gateway|gateway2] [OPTIONS…]
	local where=${1:-gateway}
	[ $# -gt 0 ] && shift
	start "$where" "$where" env FIREZONE_TOKEN="$GATEWAY_TOKEN" FIREZONE_NAME="$where" FIREZONE_ID="$P-$where" \
		RUST_LOG="${RUST_LOG:-debug}" "$EMBERBOX" gateway --api-url "$API_URL" "$@"
}

start_client() { # start_client [OPTIONS…]; DNS_CONTROL: how it takes over its machine's DNS, disabled
	start client client env FIREZONE_TOKEN="$CLIENT_TOKEN" FIREZONE_NAME=client FIREZONE_ID="$P-client" \
		RUST_LOG="${RUST_LOG:-debug}" "$EMBERBOX" client --dns-control "${DNS_CONTROL:-disabled}" --api-url "$API_URL" "$@"
}

# Port 80 on 10.9.0.80 and fd09::80: /small (1 KiB), and what a test puts into $E2E/www.
start_web() {
	mkdir -p "$E2E/www"
	head -c 1024 /dev/urandom >"$E2E/www/small"
	start web web python3 -c "
import http.server, socket
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 128
    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def __init__(self, *a): super().__init__(*a, directory='$E2E/www')
Server(('::', 80), Handler).serve_forever()"
	wait_for 150 in_ns web curl -fsS -o /dev/null --max-time 5 http://10.9.0.80/small
}

fetch() { in_ns client curl -fsS --max-time "${FETCH_SECS:-20}" -o "$E2E/fetched" "$@"; }

has_joined() { wait_log "$1" "${2:-[Cc]onnected to portal|joined}" 30; }

# Everything up: returns when the client's interface is there.
world() { # world CLIENT_NAT GATEWAY_NAT
	must internet "$@"
	must start_web
	must start_portal
	start_relay relay
	must has_joined relay
	start_gateway gateway
	must has_joined gateway
	start_client
	must wait_for 150 ip -n "$P-client" addr show dev tun-firezone up
	must wait_for 150 has_route
}
has_route() { [ -n "$(ip -n "$P-client" route show table 539098368 2>/dev/null | grep 10.9.0.0/24)" ]; }
