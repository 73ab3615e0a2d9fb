#!/bin/bash
# Names through the tunnel: DNS resources, the resolver at the sentinels, and names that are no resources. The site's resolver is dnsmasq,
# the public one unbound; programs of glibc, musl and python ask. Once the portal says so the site's is asked through the tunnel, too.
# What becomes of /etc/resolv.conf is in test_dns_control.sh.
# needs: root
# packages: ip:iproute2 nft:nftables curl:curl python3:python3 dnsmasq:dnsmasq-base unbound:unbound dig:bind9-dnsutils musl-gcc:musl-tools
# timeout: 600
. "$(dirname "$0")/lib.sh"

SITE_DNS=10.9.0.53       # beside the web server, behind the gateways
PUBLIC_DNS=198.51.100.53 # beside the portal: what the client's machine asks

resolv_conf=$E2E/etc-client/resolv.conf

# What the site knows. dnsmasq reads the hosts again at SIGHUP and logs each query.
site_hosts() { printf '%s\n' "$@" >"$E2E/site.hosts"; }
start_site_dns() {
	ip -n "$P-web" addr replace $SITE_DNS/32 dev lo
	start site web dnsmasq --keep-in-foreground --no-resolv --no-hosts --addn-hosts="$E2E/site.hosts" --log-queries --log-facility=- \
		--listen-address=$SITE_DNS --bind-interfaces --conf-file=/dev/null --pid-file= --user=root --local=/internal/ --local-ttl=1 \
		--txt-record=text.example.internal,"from the site" --srv-host=_web._tcp.wide.internal,app.example.internal,80,1,2 \
		--local=/any/
	wait_for 150 in_ns web dig +short +time=1 +tries=1 @$SITE_DNS app.example.internal
}
kill_site_dns() { # with the children that hold its TCP connections, and its port
	local pid
	stop site KILL
	for pid in $(ip netns pids "$P-web"); do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dnsmasq ] && kill -9 "$pid"
	done
}
site_asked() { grep -qE "query\[[A-Z0-9]+\] $1 " "$E2E/site.log"; }

# The public resolver: unbound with records of its own, a TXT set of 60 KB among them.
start_public_dns() {
	ip -n "$P-portal" addr replace $PUBLIC_DNS/32 dev lo
	ip -n "$P-inet" route replace $PUBLIC_DNS/32 via 198.51.100.2
	python3 - >"$E2E/unbound.conf" <<-END
		print('''server:
		  interface: $PUBLIC_DNS
		  do-daemonize: no
		  chroot: ""
		  username: ""
		  directory: "$E2E"
		  pidfile: ""
		  use-syslog: no
		  log-queries: yes
		  access-control: 0.0.0.0/0 allow
		  max-udp-size: 4096
		  edns-buffer-size: 4096
		  local-zone: "public.example." static
		  local-zone: "internal." static
		  local-data: "www.public.example. 300 IN A 192.0.2.80"
		  local-data: "www.public.example. 300 IN AAAA 2001:db8::80"
		  local-data: "mail.public.example. 300 IN MX 10 www.public.example."
		  local-data: "*.wild.public.example. 300 IN A 192.0.2.81"''')
		for i in range(5):
		    print('  local-data: "medium.public.example. 300 IN TXT %s"' % ('"%d%s"' % (i, 'm' * 180)).replace('"', "'").replace("'", '') )
		for i in range(250):
		    print('  local-data: "huge.public.example. 300 IN TXT %03d%s"' % (i, 'h' * 230))
		print('''  local-data: "small.public.example. 300 IN TXT small"
		remote-control:
		  control-enable: no''')
	END
	start public portal unbound -d -c "$E2E/unbound.conf"
	wait_for 150 in_ns portal dig +short +time=1 +tries=1 @$PUBLIC_DNS www.public.example
}

# resource ADDRESS [OPTION…]: a DNS resource that everyone may use
resource() {
	admin resource add --site Berlin --address "$1" "${@:2}" >/dev/null && admin policy add --group Everyone --resource "$1" >/dev/null
}

ask() { in_ns client dig +time="${ASK_SECS:-10}" +tries=2 "$@"; }
status_of() { ask "$@" | sed -n 's/.*status: \([A-Z]*\),.*/\1/p'; }
short() { ask +short "$@"; }
same_range() { # four proxy addresses
	[ "$(short "$@" | grep -cE '^100\.(9[6-9]|1[01][0-9]|12[0-7])\.')" = 4 ]
}
by_name() { fetch "http://$1/small" && cmp "$E2E/fetched" "$E2E/www/small"; }

# ---- the world --------------------------------------------------------------------------------------------------------------

site_hosts '10.9.0.80 app.example.internal' '10.9.0.80 example.internal' '10.9.0.80 deep.er.wide.internal' '10.9.0.80 moves.internal' \
	'10.9.0.80 four.internal' 'fd09::80 four.internal' '10.9.0.80 six.internal' 'fd09::80 six.internal' '10.9.0.80 secret.internal' \
	'fd09::80 app.example.internal' '10.9.0.80 filtered.internal' '10.9.0.80 late.internal' 'fd09::80 single.wide.internal' \
	'10.9.0.80 inner.other.internal' '10.9.0.80 third.other.internal'
must internet cone cone
must start_web
must start_site_dns
must start_public_dns
must own_etc gateway
must own_etc client
echo "nameserver $SITE_DNS" >"$E2E/etc-gateway/resolv.conf"
printf 'nameserver %s\noptions timeout:3\n' $PUBLIC_DNS >"$resolv_conf"
must make_portal
resource '*.example.internal'
resource '**.wide.internal'
resource moves.internal
resource four.internal --ip-stack ipv4-only
resource six.internal --ip-stack ipv6-only
resource filtered.internal --filter tcp:81
must start_portal
start_relay relay
must has_joined relay
start_gateway gateway
must has_joined gateway
launch_client() {
	DNS_CONTROL=etc-resolv-conf start_client
	wait_log client 'Tunnel ready' 30 && wait_for 150 has_sentinels
}
has_sentinels() { grep -q '^nameserver 100\.100\.111\.' "$resolv_conf"; }
must launch_client

# ---- names of resources -----------------------------------------------------------------------------------------------------

start_ms=$(now_ms)
check spec30_44_first_fetch_by_name by_name app.example.internal
note "first connection to a new name took $(($(now_ms) - start_ms)) ms"
check spec30_44_by_ipv6 in_ns client curl -6 -fsS --max-time 10 -o /dev/null http://app.example.internal/small
check spec30_44_a_name_with_one_family_in_the_site by_name single.wide.internal
check spec30_44_four_addresses same_range app.example.internal
check spec30_3_addresses_stay is "$(short app.example.internal | sort)" "$(short app.example.internal | sort)"
check spec30_40_bare_name_of_a_wildcard by_name example.internal
check spec30_40_double_star by_name deep.er.wide.internal
check ipv4_only_has_no_ipv6 is "$(short four.internal AAAA)" ""
check ipv4_only_is_reached in_ns client curl -4 -fsS --max-time 10 -o /dev/null http://four.internal/small
check ipv6_only_has_no_ipv4 is "$(short six.internal A)" ""
check ipv6_only_is_reached in_ns client curl -6 -fsS --max-time 10 -o /dev/null http://six.internal/small
check spec30_57_name_of_a_resource_by_tcp same_range +tcp app.example.internal
check spec30_46_https_is_empty is "$(status_of app.example.internal HTTPS) $(short app.example.internal HTTPS)" "NOERROR "
proxy=$(short app.example.internal | head -n 1)
check spec30_48_reverse_name is "$(short -x "$proxy")" app.example.internal.
check spec30_43_canary is "$(status_of use-application-dns.net)" NXDOMAIN
check spec30_47_text_from_the_site is "$(short text.example.internal TXT)" '"from the site"'
check spec30_47_text_from_the_site_by_tcp is "$(short +tcp text.example.internal TXT)" '"from the site"'
check spec30_47_services_of_the_site is "$(short _web._tcp.wide.internal SRV)" '1 2 80 app.example.internal.'
check ping_by_name in_ns client ping -c 2 -i 0.2 -W 3 app.example.internal
filtered() { ! in_ns client curl -fsS --max-time 3 -o /dev/null http://filtered.internal/small; }
check spec40_38_filters_hold_for_names filtered

# ---- who asks -----------------------------------------------------------------------------------------------------------------

check glibc_program in_ns client getent ahostsv4 app.example.internal
check python_program in_ns client python3 -c "
import socket
a = {x[4][0] for x in socket.getaddrinfo('app.example.internal', 80, socket.AF_INET)}
assert len(a) == 4 and all(x.startswith('100.') for x in a), a"
cat >"$E2E/names.c" <<'END'
#include <netdb.h>
#include <stdio.h>
int main(int argc, char **argv)
{
	struct addrinfo *list = NULL;
	int n = 0;
	if (argc < 2 || getaddrinfo(argv[1], "80", NULL, &list))
		return 1;
	for (struct addrinfo *a = list; a; a = a->ai_next)
		n++;
	printf("%d\n", n);
	return n < 8;
}
END
if musl-gcc -static -o "$E2E/names" "$E2E/names.c" 2>/dev/null; then
	check musl_program in_ns client "$E2E/names" app.example.internal
else
	skip musl_program "no musl compiler"
fi

# ---- names that are no resources ---------------------------------------------------------------------------------------------

check spec30_49_public_name is "$(short www.public.example)" 192.0.2.80
check spec30_49_other_types is "$(short mail.public.example MX)" '10 www.public.example.'
check spec30_49_no_such_name is "$(status_of nothing.public.example)" NXDOMAIN
check spec30_57_tcp is "$(short +tcp www.public.example)" 192.0.2.80
all_ten_came() { [ "$(cat "$E2E"/tcp.* | grep -c '192.0.2.80')" = 10 ]; }
several_by_tcp() {
	local i
	for i in 1 2 3 4 5 6 7 8 9 10; do in_ns client dig +tcp +short +time=10 www.public.example >"$E2E/tcp.$i" & done
	wait_for 300 all_ten_came
}
check spec30_57_ten_at_a_time several_by_tcp
check kept_connection is "$(in_ns client dig +tcp +keepopen +short +time=10 www.public.example A www.public.example AAAA | tr '\n' ' ')" \
	"192.0.2.80 2001:db8::80 "
check small_answer is "$(short +noedns +ignore small.public.example TXT)" '"small"'
check spec30_56_truncated_at_512 is "$(ask +noedns +ignore medium.public.example TXT | grep -c 'flags:.* tc')" 1
check edns_1232 is "$(short +bufsize=1232 +ignore medium.public.example TXT | wc -l)" 5
check spec30_56_truncated is "$(ask +bufsize=4096 +ignore huge.public.example TXT | grep -c 'flags:.* tc')" 1
check sixty_kilobytes_by_tcp is "$(short huge.public.example TXT | wc -l)" 250
check cached_answer is "$(short www.public.example AAAA; short www.public.example AAAA)" $'2001:db8::80\n2001:db8::80'

# ---- what policy does not allow is never asked in the site ----------------------------------------------------------------------

check not_a_resource is "$(status_of secret.internal)" "$(status_of @$PUBLIC_DNS secret.internal)"
never_asked() { ! site_asked secret.internal; }
check spec40_41_site_never_asked never_asked
check late_name_is_unknown is "$(short late.internal)" ""
resource late.internal
must wait_log client 'Activating resource .*late.internal' 20
check resource_added_while_running by_name late.internal

# ---- things change ------------------------------------------------------------------------------------------------------------

check moving_name by_name moves.internal
addresses_before=$(short moves.internal | sort)
# a connection that lives through the change: the old server has the whole file
head -c 30M /dev/urandom >"$E2E/www/file"
in_ns client curl -fsS --limit-rate 8M --max-time 60 -o "$E2E/moving" http://moves.internal/file &
download=$!
must wait_for 200 test -s "$E2E/moving"
ip -n "$P-web" addr add 10.9.0.81/32 dev lo
in_ns web nft 'table ip seen { chain input { type filter hook input priority 0; ip daddr 10.9.0.81 tcp dport 80 counter; }; }'
site_hosts "$(sed 's/10.9.0.80 moves/10.9.0.81 moves/' "$E2E/site.hosts")"
kill -HUP "${PIDS[site]}"
moved() { # a new connection reaches the new address once the name was asked for again, and the gateway has heard of it
	short moves.internal >/dev/null
	in_ns client curl -fsS --max-time 10 -o /dev/null http://moves.internal/small &&
		in_ns web nft list ruleset | grep -qE 'daddr 10.9.0.81 .*counter packets [1-9]'
}
check spec30_38_name_with_another_address wait_for 100 moved
check spec30_3_proxy_addresses_stay is "$(short moves.internal | sort)" "$addresses_before"
wait $download
check spec40_48_connection_survives cmp "$E2E/moving" "$E2E/www/file"

# roaming: a name keeps its proxy addresses, and they work over the new path
addresses_before=$(short app.example.internal | sort)
client_moves
check spec30_61_names_work_after_roaming wait_for 20 by_name app.example.internal
check spec30_61_proxy_addresses_are_kept is "$(short app.example.internal | sort)" "$addresses_before"

# ---- the portal names the site's resolver: it lies in a resource, so it is asked through the tunnel ---------------------------

admin_dns() { admin account update "$@" >/dev/null; }
asked_by_gateway() { grep -qE "query\[A\] inner.other.internal from 10\.(3\.0\.1|9\.0\.)" "$E2E/site.log"; }
public_was_asked() { tail -n "+$public_lines" "$E2E/public.log" | grep -qE "(inner|third)\.other\.internal"; }
public_lines=$(($(wc -l <"$E2E/public.log") + 1))
must admin_dns --dns "custom:$SITE_DNS" --search-domain other.internal
must wait_for 100 grep -q '^search other.internal' "$resolv_conf"
inner_is_known() { is "$(short inner.other.internal A)" 10.9.0.80; }
check spec30_53_resolver_behind_the_tunnel wait_for 100 inner_is_known
check spec30_53_resolver_behind_the_tunnel_by_tcp is "$(short +tcp third.other.internal A)" 10.9.0.80
found() { [[ $(in_ns client getent ahostsv4 inner) == 10.9.0.80* ]]; }
check spec30_53_search_domain found
check spec30_53_asked_by_the_gateway asked_by_gateway
not_public() { ! public_was_asked; }
check spec30_50_the_system_is_asked_no_more not_public
must admin_dns --dns system
public_again() { is "$(short www.public.example A)" 192.0.2.80 && is "$(short inner.other.internal A)" ""; }
check spec30_50_and_back_to_the_system wait_for 50 public_again

# ---- resolvers fail -------------------------------------------------------------------------------------------------------------

# the site's resolver is gone: what is known goes on, what is not ends in an answer
kill_site_dns
check known_name_goes_on by_name app.example.internal
ASK_SECS=20
check spec40_61_servfail is "$(status_of text.example.internal TXT)" SERVFAIL
must start_site_dns >/dev/null
# the public resolver too: silence becomes SERVFAIL
stop public
check silence_becomes_servfail is "$(status_of +tries=1 other.public.example)" SERVFAIL
unset ASK_SECS
must start_public_dns >/dev/null
check resolver_is_back is "$(short www.public.example A)" 192.0.2.80

# ---- the client is killed and comes back: names stay usable -------------------------------------------------------------------

stop client KILL
must launch_client
check works_after_a_crash by_name app.example.internal
check public_name_after_a_crash is "$(short www.public.example)" 192.0.2.80
note "client RSS $(rss_kib client) KiB"
finish
