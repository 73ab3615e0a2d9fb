#!/bin/bash
# The main job, told as a story (make demo): portal, relay, gateway and client in network namespaces, each of the last two behind its own
# NAT; a web server behind the gateway is reached by a name that only its site knows, and a file of 100 MB downloaded from it; first over a
# direct path, then, with NATs that allow none, over the relay. Programs of client and gateway see copies of /etc, never the machine's.
# needs: root
# packages: ip:iproute2 nft:nftables curl:curl python3:python3 dnsmasq:dnsmasq-base
#
# At the end the portal's pages are shown: it prints their address and a one-time link of the running network. Only a port on loopback of this
# machine leads there.
#
#	demo.sh            all acts
#	demo.sh ACT        one: direct, relayed or tour
#	KEEP=1             the tour stays open until Ctrl-C
set -u
KEEP_OPEN=${KEEP:-}
[ "$KEEP_OPEN" != 0 ] || KEEP_OPEN=
unset KEEP # lib.sh would keep its folder
DOWNLOAD_MB=${DOWNLOAD_MB:-100}

if [ $# -eq 0 ]; then
	[ "$(id -u)" = 0 ] || { echo "demo: needs root, for network namespaces: try sudo make demo" >&2 && exit 1; }
	"$0" direct && echo && "$0" relayed && echo && KEEP=$KEEP_OPEN "$0" tour || exit 1
	echo
	echo "Both downloads arrived whole, the pages answered. Nothing is left behind: namespaces, devices and rules are gone."
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

NAME=app.example.internal PUBLIC_NAME=www.public.example
SITE_DNS=10.3.0.80 PUBLIC_DNS=198.51.100.1
resolv_conf=$E2E/etc-client/resolv.conf

# resolver NAME PLACE ADDRESS HOST-RECORD: knows that one name and writes down what it is asked
resolver() {
	start "$1" "$2" dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --pid-file= --no-resolv --no-hosts --local='/#/' \
		--local-ttl=300 --log-queries --log-facility=- --listen-address="$3" --bind-interfaces --host-record="$4"
	wait_log "$1" started
}
asked() { grep -c "query\[[A-Z]*\] $2 " "$E2E/$1.log"; }
# ask NAME: as every program of the client's machine does; "0.4 ms: 100.96.0.1 …", or why there is no address
ask() {
	in_ns client python3 - "$1" <<-'END'
		import socket, sys, time
		socket.getaddrinfo('localhost', 80) # what the first call loads
		begin = time.monotonic()
		try:
		    found = [a[4][0] for a in socket.getaddrinfo(sys.argv[1], 80, type=socket.SOCK_STREAM)]
		except OSError as e:
		    sys.exit(f'{e.strerror} after {(time.monotonic() - begin) * 1000:.1f} ms')
		took = (time.monotonic() - begin) * 1000
		print(f'{took:.1f} ms:', ' '.join(sorted(found, key=lambda a: (':' in a, a))))
	END
}
sentinel() { sed -n 's/^nameserver \(100\.100\.111\..*\)/\1/p' "$resolv_conf" | head -n 1; }
has_sentinel() { [ -n "$(sentinel)" ]; }
ms_of() { awk -v s="$1" 'BEGIN { printf "%.1f ms", s * 1000 }'; }

# through FROM_SOCKET… TO_SOCKET…, each `tcp ADDRESS PORT` or `unix PATH`: carries bytes between them
through='
import asyncio, sys
a = sys.argv[1:]
ends = []
while a:
    n = 3 if a[0] == "tcp" else 2
    ends.append(a[:n])
    a = a[n:]
def opening(e, tcp, unix):
    return tcp(e[1], int(e[2])) if e[0] == "tcp" else unix(e[1])
async def carry(r, w):
    try:
        while data := await r.read(65536):
            w.write(data)
            await w.drain()
    except OSError:
        pass
    w.close()
async def serve(r, w):
    r2, w2 = await opening(ends[1], asyncio.open_connection, asyncio.open_unix_connection)
    await asyncio.gather(carry(r, w2), carry(r2, w))
async def main():
    server = await opening(ends[0], lambda h, p: asyncio.start_server(serve, h, p), lambda p: asyncio.start_unix_server(serve, p))
    await server.serve_forever()
asyncio.run(main())'

tour() {
	local port url link
	port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	url=http://localhost:$port/
	internet cone cone && start_web && make_portal || fails "cannot build the network"
	start portal portal "$EMBERBOX" portal serve --dir "$E2E/portal" --listen 0.0.0.0:13001 --web-url "$url" --api-url "$API_URL/" --socket-capacity 100
	wait_log portal 'portal is ready' || fails "the portal did not start"
	start_relay relay && has_joined relay && start_gateway gateway && has_joined gateway && start_client
	wait_for 150 has_route && wait_for 50 fetch http://10.9.0.80/small || fails "no page came through the tunnel"
	start pages_inside portal python3 -c "$through" unix "$E2E/pages" tcp 127.0.0.1 13001
	python3 -c "$through" tcp 127.0.0.1 "$port" unix "$E2E/pages" >"$E2E/pages.log" 2>&1 </dev/null &
	PIDS[pages]=$!
	wait_for 100 curl -fsS -o /dev/null "${url}healthz" || fails "the pages do not answer"
	link=$url$(admin link add --actor jo@acme.example --json | grep -o 'auth/link/[^"]*')
	tell network "runs: a client fetched a page through its gateway, which the overview shows"
	tell pages "$url"
	tell link "$link"
	tell "" "opens once: make a passkey, or a password with an app, and you are its administrator"
	curl -fsS "$link" | grep -q 'With a password' || fails "the link does not work"
	if [ -z "$KEEP_OPEN" ]; then
		tell end "closed again; make demo KEEP=1 keeps it open until Ctrl-C"
		return
	fi
	tell end "open in a browser of this machine until Ctrl-C"
	trap 'KEEP_OPEN=' INT TERM
	while [ -n "$KEEP_OPEN" ]; do sleep 0.5; done
	trap 'cleanup; exit 130' INT
	trap 'cleanup; exit 143' TERM
}

case $1 in
tour)
	echo "Act 3: the portal's pages"
	tour
	exit 0
	;;
direct)
	nats=(cone cone)
	echo "Act 1: client and gateway behind ordinary home routers"
	;;
relayed)
	nats=(symmetric symmetric)
	echo "Act 2: both behind symmetric NATs, where no direct path exists"
	;;
*)
	echo "demo: no act \"$1\"; there are: direct, relayed, tour" >&2
	exit 2
	;;
esac

internet "${nats[@]}" || fails "cannot build the network"
tell network "client 10.1.0.2 ─ NAT 192.0.2.2 ─┬─ internet ─┬─ NAT 198.18.0.2 ─ gateway 10.2.0.2 ─ web server 10.9.0.80"
tell "" "portal 198.51.100.2, relay 203.0.113.2, both public"
tell "" "resolvers: $SITE_DNS in the site knows $NAME = 10.9.0.80; $PUBLIC_DNS, public, does not"
start_web || fails "the web server did not start"
resolver site_dns web "$SITE_DNS" "$NAME,10.9.0.80" || fails "the site's resolver did not start"
resolver public_dns inet "$PUBLIC_DNS" "$PUBLIC_NAME,198.51.100.80,2001:db8:1::80" || fails "the public resolver did not start"
own_etc client && own_etc gateway || fails "cannot copy /etc"
echo "nameserver $PUBLIC_DNS" >"$resolv_conf"
echo "nameserver $SITE_DNS" >"$E2E/etc-gateway/resolv.conf"
head -c "${DOWNLOAD_MB}M" /dev/urandom >"$E2E/www/file"
want=$(sha256sum <"$E2E/www/file")

intranet() {
	make_portal && admin resource add --site Berlin --address '*.example.internal' --name intranet --ip-stack ipv4-only &&
		admin policy add --group Everyone --resource intranet
}
intranet >"$E2E/intranet-setup.log" 2>&1 && start_portal || fails "the portal did not start"
tell portal "made an account, the site Berlin, the resources 10.9.0.0/24 and *.example.internal, policies, three tokens; serves"
start_relay relay
has_joined relay || fails "the relay did not join"
tell relay "joined the portal"
begin=$(now_ms)
start_gateway gateway
has_joined gateway || fails "the gateway did not join"
tell gateway "joined after $(($(now_ms) - begin)) ms"

in_ns client curl -fsS --max-time 1 -o /dev/null http://10.9.0.80/small 2>/dev/null && fails "the resource was reachable without a client"
tell client "cannot reach http://10.9.0.80/ yet"
unknown=$(ask $NAME 2>&1) && fails "the name was known without a client"
public_before=$(ask $PUBLIC_NAME) || fails "the public name is not known"
tell "" "asks $PUBLIC_DNS: $NAME? $unknown; $PUBLIC_NAME? $public_before"
begin=$(now_ms)
DNS_CONTROL=etc-resolv-conf start_client
wait_for 150 has_route && wait_for 50 has_sentinel || fails "the client did not set up its tunnel"
tell client "signed in, tun-firezone is up after $(($(now_ms) - begin)) ms"
begin=$(now_ms)
fetch http://10.9.0.80/small || fails "the first request got no answer"
tell client "first answer $(($(now_ms) - begin)) ms after the first packet"

public_asked=$(asked public_dns $NAME)
proxies=$(ask $NAME) || fails "$NAME is not known"
tell name "$NAME? $(sentinel), the client itself, answers after $proxies"
times=$(fetch -w '%{remote_ip} %{time_namelookup} %{time_connect} %{time_starttransfer}' http://$NAME/small) &&
	cmp -s "$E2E/fetched" "$E2E/www/small" || fails "no answer from http://$NAME/small"
read -r proxy named connected first_byte <<<"$times"
tell "" "curl http://$NAME/small: to $proxy; name $(ms_of "$named"), connected $(ms_of "$connected"), first byte $(ms_of "$first_byte")"
gateway_asked=$(sed -n "s/.*query\[A\] $NAME from //p" "$E2E/site_dns.log" | tail -n 1)
web_asked=$(grep '"GET /small' "$E2E/web.log" | tail -n 1 | sed 's/ .*//; s/::ffff://')
[ "$gateway_asked $web_asked" = "10.3.0.1 10.3.0.1" ] || fails "the site saw: $gateway_asked, $web_asked"
[ "$(asked public_dns $NAME)" = "$public_asked" ] || fails "the public resolver was asked for $NAME"
tell "" "really went: the gateway, $gateway_asked, asked $SITE_DNS, was told 10.9.0.80, and came to the web server there as $web_asked"
public_after=$(ask $PUBLIC_NAME) || fails "$PUBLIC_NAME is not known any more"
[ "${public_after#*: }" = "${public_before#*: }" ] && [ "$(asked site_dns $PUBLIC_NAME)" = 0 ] || fails "$PUBLIC_NAME went elsewhere"
public_asked=$(asked public_dns $PUBLIC_NAME)
public_again=$(ask $PUBLIC_NAME) || fails "$PUBLIC_NAME is not known any more"
tell "" "$PUBLIC_NAME? $PUBLIC_DNS as before, asked by the client: $public_after"
[ "$(asked public_dns $PUBLIC_NAME)" = "$public_asked" ] && tell "" "again, from the client's cache: $public_again"

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
[ "$(cat "$resolv_conf")" = "nameserver $PUBLIC_DNS" ] || fails "resolv.conf was not put back"
tell end "all four stopped at SIGTERM with status 0; the client's resolv.conf is as it was"
