#!/bin/bash
# Names as resources, end to end: programs of the client's machine ask its resolv.conf, the gateway asks its site's resolver, packets go by
# proxy addresses. The client's machine and the gateway's see copies of /etc, never the real one.
#
# needs: root
# packages: ip:iproute2 nft:nftables curl:curl python3:python3 dig:dnsutils dnsmasq:dnsmasq-base
. "$(dirname "$0")/lib.sh"

# ---- two machines with an /etc of their own ---------------------------------------------------------------------------------

own_etc() { # own_etc PLACE NAMESERVER
	cp -a /etc "$E2E/etc-$1"
	rm -rf "$E2E/etc-$1/netns" "$E2E/etc-$1"/resolv.conf*
	echo "nameserver $2" >"$E2E/etc-$1/resolv.conf"
	printf '#!/bin/sh\nmount --bind %s /etc && exec "$@"\n' "$E2E/etc-$1" >"$E2E/at-$1"
	chmod +x "$E2E/at-$1"
}
at() { # at PLACE CMD…
	local where=$1
	shift
	in_ns "$where" unshare -m "$E2E/at-$where" "$@"
}

# The site's resolver lives on the web server and writes down what it is asked; the world's, on the router, knows other names.
site_dns() {
	stop site_dns
	start site_dns web dnsmasq -k --conf-file=/dev/null --user=root --log-queries --log-facility=- --no-resolv --no-hosts \
		--listen-address=10.3.0.80 --bind-interfaces --pid-file= \
		--host-record=app.site.internal,"${1:-10.9.0.80}",fd09::80 --host-record=six.site.internal,fd09::80 \
		--host-record=secret.other.internal,10.9.0.80 --host-record=third.other.internal,10.9.0.80 --address=/deep.wild.internal/10.9.0.80 \
		--txt-record=info.site.internal,"only the site knows" --srv-host=_web._tcp.site.internal,app.site.internal,80
	wait_for 50 in_ns web dig +time=1 +tries=1 @10.3.0.80 app.site.internal A
}
world_dns() {
	start world_dns inet dnsmasq -k --conf-file=/dev/null --user=root --log-queries --log-facility=- --no-resolv --no-hosts \
		--listen-address=198.51.100.1 --bind-interfaces --pid-file= --host-record=www.elsewhere.example,203.0.113.99 \
		--txt-record=long.elsewhere.example,"$(printf 'x%.0s' {1..250})","$(printf 'y%.0s' {1..250})","$(printf 'z%.0s' {1..250})","$(printf 'w%.0s' {1..250})","$(printf 'v%.0s' {1..250})","$(printf 'u%.0s' {1..250})"
	wait_for 50 in_ns inet dig +time=1 +tries=1 @198.51.100.1 www.elsewhere.example A
}

named_gateway() {
	start gateway gateway env FIREZONE_TOKEN="$GATEWAY_TOKEN" FIREZONE_NAME=gateway FIREZONE_ID="$P-gateway" RUST_LOG=debug \
		unshare -m "$E2E/at-gateway" "$EMBERBOX" gateway --api-url "$API_URL"
	has_joined gateway
}
named_client() {
	start client client env FIREZONE_TOKEN="$CLIENT_TOKEN" FIREZONE_NAME=client FIREZONE_ID="$P-client" RUST_LOG=debug \
		unshare -m "$E2E/at-client" "$EMBERBOX" client --dns-control etc-resolv-conf --api-url "$API_URL"
	wait_for 150 has_route && wait_for 50 grep -q '^nameserver 100\.100\.111\.' "$E2E/etc-client/resolv.conf"
}
resource() { admin resource add --site Berlin "$@" && admin policy add --group Everyone --resource "${4:-}"; }

ask() { at client dig +time=8 +tries=1 "$@"; }
answer_is() { # answer_is PATTERN DIG-ARGUMENTS…
	local pattern=$1
	shift
	[[ $(ask +short "$@" | tr '\n' ' ') == $pattern ]]
}
gets() { at client curl -fsS --max-time 15 -o /dev/null "$@"; }
site_was_asked() { grep -q "query\[[A-Z]*\] $1 " "$E2E/site_dns.log"; }

must internet none none
must start_web
must site_dns
must world_dns
own_etc client 198.51.100.1
own_etc gateway 10.3.0.80
must start_portal
for address in app.site.internal six.site.internal '*.wild.internal' '**.site.internal'; do
	must resource --address "$address" --name "$address" >>"$E2E/portal-more.log" 2>&1
done
start_relay relay
must has_joined relay
must named_gateway
must named_client

check spec30_44_curl_by_name gets http://app.site.internal/small
check spec30_44_by_ipv6 gets -6 http://app.site.internal/small
check spec30_44_a_name_with_one_family_in_the_site gets http://six.site.internal/small
check spec30_40_wildcard gets http://deep.wild.internal/small
check spec30_44_getent eval '[[ $(at client getent ahostsv4 app.site.internal) == *100.96.* ]]'
check spec30_44_python at client python3 -c 'import socket; socket.create_connection(("app.site.internal", 80), 10)'
check spec30_57_dig_over_tcp answer_is '100.*' +tcp app.site.internal
check spec30_48_reverse_name eval 'answer_is "app.site.internal. " -x $(ask +short app.site.internal | head -1)'
check spec30_47_txt_from_the_site answer_is '"only the site knows" ' info.site.internal TXT
check spec30_47_srv_from_the_site_over_tcp answer_is '0 0 80 app.site.internal. ' +tcp _web._tcp.site.internal SRV
check spec30_49_other_names_go_where_they_went answer_is '203.0.113.99 ' www.elsewhere.example
check spec30_56_long_answers_by_tcp eval '[ $(ask +short +bufsize=1232 long.elsewhere.example TXT | wc -c) -gt 1500 ]'
check spec30_43_canary eval '[[ $(ask use-application-dns.net) == *NXDOMAIN* ]]'

ask secret.other.internal >/dev/null 2>&1
check names_of_nobody_are_not_asked_in_the_site eval '! site_was_asked secret.other.internal'

# The name moves to another address: a connection of before goes on, new ones go to the new place.
in_ns web ip addr add 10.9.0.81/32 dev lo
at client python3 - <<-END >"$E2E/long.out" 2>&1 &
	import http.client, time
	c = http.client.HTTPConnection("app.site.internal", 80, timeout=20)
	for i in range(12):
	    c.request("GET", "/small")
	    print(len(c.getresponse().read()), flush=True)
	    time.sleep(0.5)
	print("whole", flush=True)
END
long=$!
must wait_for 100 grep -q 1024 "$E2E/long.out"
must site_dns 10.9.0.81
ask +short app.site.internal >/dev/null
check spec30_38_new_connections_after_a_move gets http://app.site.internal/small
wait $long
check spec30_38_a_connection_survives_a_move grep -q whole "$E2E/long.out"

# The portal names a resolver of the site: it lies in a resource, so it is asked through the tunnel; the flow comes with the first query.
must admin resource add --site Berlin --address 10.3.0.0/24 --name resolvers >>"$E2E/portal-more.log" 2>&1
must admin policy add --group Everyone --resource resolvers >>"$E2E/portal-more.log" 2>&1
world_lines=$(($(wc -l <"$E2E/world_dns.log") + 1))
must admin account update --dns custom:10.3.0.80 --search-domain other.internal >>"$E2E/portal-more.log" 2>&1
must wait_for 100 grep -q '^search other.internal' "$E2E/etc-client/resolv.conf"
check spec30_53_resolver_behind_the_tunnel wait_for 10 answer_is '10.9.0.80 ' secret.other.internal
check spec30_53_resolver_behind_the_tunnel_by_tcp answer_is '10.9.0.80 ' +tcp third.other.internal
check spec30_53_search_domain eval '[[ $(at client getent ahostsv4 secret) == 10.9.0.80* ]]'
check spec30_53_asked_by_the_gateway grep -q 'query\[A\] secret.other.internal from 10.3.0.1' "$E2E/site_dns.log"
check spec30_50_the_system_is_asked_no_more eval '! grep -q "secret.other.internal" <(tail -n +$world_lines "$E2E/world_dns.log")'
must admin account update --dns system >>"$E2E/portal-more.log" 2>&1
check spec30_50_and_back_to_the_system wait_for 50 answer_is '203.0.113.99 ' www.elsewhere.example

# Roaming keeps proxy addresses.
before=$(ask +short app.site.internal | head -1)
client_moves
check spec30_61_names_work_after_roaming wait_for 20 gets http://app.site.internal/small
check spec30_61_proxy_addresses_are_kept eval '[ "$(ask +short app.site.internal | head -1)" = "$before" ]'
note "client RSS $(rss_kib client) KiB"
stop client
check spec30_70_resolv_conf_is_given_back eval '[ "$(cat "$E2E/etc-client/resolv.conf")" = "nameserver 198.51.100.1" ]'
finish
