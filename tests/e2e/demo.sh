#!/bin/bash
# The main job, told as a story (make demo): portal, relay, gateway and client in network namespaces, each of the last two behind its own
# NAT; a 100 MB download from a web server behind the gateway, first over a direct path, then, with NATs that allow none, over the relay.
# needs: root
# packages: ip:iproute2 nft:nftables curl:curl python3:python3
#
#	demo.sh            both acts
#	demo.sh ACT        one: direct or relayed
set -u
DOWNLOAD_MB=${DOWNLOAD_MB:-100}

if [ $# -eq 0 ]; then
	[ "$(id -u)" = 0 ] || { echo "demo: needs root, for network namespaces: try sudo make demo" >&2 && exit 1; }
	"$0" direct && echo && "$0" relayed || exit 1
	echo
	echo "Both downloads arrived whole. Nothing is left behind: namespaces, devices and rules are gone."
	exit 0
fi

RUST_LOG=info
. "$(dirname "$0")/lib.sh"
unset RUST_LOG

tell() { printf '  %-9s %s\n' "$1" "$2"; }
fails() {
	echo "demo: $*; the last lines of the logs:" >&2
	LOG_LINES=15 not_ok demo >&2
	exit 1
}

case $1 in
direct)
	nats=(cone cone)
	echo "Act 1: client and gateway behind ordinary home routers"
	;;
relayed)
	nats=(symmetric symmetric)
	echo "Act 2: both behind symmetric NATs, where no direct path exists"
	;;
*)
	echo "demo: no act \"$1\"; there are: direct, relayed" >&2
	exit 2
	;;
esac

internet "${nats[@]}" || fails "cannot build the network"
tell network "client 10.1.0.2 ─ NAT 192.0.2.2 ─┬─ internet ─┬─ NAT 198.18.0.2 ─ gateway 10.2.0.2 ─ web server 10.9.0.80"
tell "" "portal 198.51.100.2, relay 203.0.113.2, both public"
start_web || fails "the web server did not start"
head -c "${DOWNLOAD_MB}M" /dev/urandom >"$E2E/www/file"
want=$(sha256sum <"$E2E/www/file")

start_portal || fails "the portal did not start"
tell portal "made an account, the site Berlin, the resource 10.9.0.0/24, a policy for everyone and three tokens; serves"
start_relay relay
has_joined relay || fails "the relay did not join"
tell relay "joined the portal"
begin=$(now_ms)
start_gateway gateway
has_joined gateway || fails "the gateway did not join"
tell gateway "joined after $(($(now_ms) - begin)) ms"

in_ns client curl -fsS --max-time 1 -o /dev/null http://10.9.0.80/small 2>/dev/null && fails "the resource was reachable without a client"
tell client "cannot reach http://10.9.0.80/ yet"
begin=$(now_ms)
start_client
wait_for 150 has_route || fails "the client did not set up its tunnel"
tell client "signed in, tun-firezone is up after $(($(now_ms) - begin)) ms"
begin=$(now_ms)
fetch http://10.9.0.80/small || fails "the first request got no answer"
tell client "first answer $(($(now_ms) - begin)) ms after the first packet"

speed=$(FETCH_SECS=120 fetch -w '%{speed_download}' http://10.9.0.80/file) || fails "the download broke off"
[ "$(sha256sum <"$E2E/fetched")" = "$want" ] || fails "the download is damaged"
tell client "downloaded $DOWNLOAD_MB MB at $((${speed%.*} * 8 / 1000000)) Mbit/s, SHA-256 ${want:0:16}… is right"
path=$(grep -o 'path=[^=]*local' "$E2E/client.log" | tail -n 1 | sed 's/path=//; s/ local$//')
tell path "${path:-unknown}: $(grep -oE 'remote=[^ ]+' "$E2E/client.log" | tail -n 1 | sed 's/remote=/packets go to /')"
tell memory "client $(rss_kib client) KiB, gateway $(rss_kib gateway) KiB, relay $(rss_kib relay) KiB, portal $(rss_kib portal) KiB"
case $1/$path in
direct/direct | relayed/relayed*) ;;
*) fails "expected a $1 path, took: $path" ;;
esac
stop client && stop gateway && stop relay && stop portal || fails "a part did not stop cleanly"
tell end "all four stopped at SIGTERM with status 0"
