#!/bin/bash
# dns-proxy on a router between a client's network, a stranger's, and that of the servers it asks: unbound, dnsmasq, ones that lie, are silent
# or dead, and DNS over HTTPS.
#
# needs: root
# packages: ip:iproute2 unbound:unbound dnsmasq:dnsmasq-base dig:bind9-dnsutils dnsperf:dnsperf openssl:openssl python3:python3
# timeout: 600
# lasts: 20
#
#   host 192.168.77.2, fd77::2 ──┐                                   ┌── unbound 10.53.0.2 (UDP, TCP, HTTPS over HTTP/2), dnsmasq .3
#                                ├── router 192.168.77.1, fd77::1 ───┤
#   stranger 203.0.113.9 ────────┘          203.0.113.1, 10.53.0.1   └── liar .4 (and .14), nobody .5, silent .6, HTTP/1.1 .8, dying .9
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" = 0 ] || { skip all "needs root"; exit 0; }
has_applet dns-proxy || { skip all "not in this build"; exit 0; }
PATH=$PATH:/usr/sbin
for tool in unbound dnsmasq dig dnsperf openssl python3; do
	command -v $tool >/dev/null || { skip all "needs $tool"; exit 0; }
done
chmod 755 "$E2E"
UPSTREAMS="$ROOT/tests/e2e/dns_upstreams.py"

must place router host stranger servers
must wire router lan 192.168.77.1/24,fd77::1/64 host eth0 192.168.77.2/24,fd77::2/64
must wire router wan 203.0.113.1/24 stranger eth0 203.0.113.9/24
must wire router net 10.53.0.1/24 servers eth0 10.53.0.2/24,10.53.0.3/24,10.53.0.4/24,10.53.0.5/24,10.53.0.6/24,10.53.0.8/24,10.53.0.9/24,10.53.0.14/24
# whoever would ask the machine's own servers shall find none
mkdir -p "/etc/netns/$P-router"
echo "nameserver 192.168.77.1" >"/etc/netns/$P-router/resolv.conf"

# ---- those that are asked

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$E2E/key.pem" -out "$E2E/cert.pem" -days 5 \
	-subj /CN=resolver -addext subjectAltName=IP:10.53.0.2,IP:10.53.0.8,IP:10.53.0.9,DNS:doh.example 2>/dev/null
chmod 644 "$E2E/key.pem"
cat >"$E2E/unbound.conf" <<END
server:
	interface: 10.53.0.2@53
	interface: 10.53.0.2@443
	https-port: 443
	http-endpoint: "/dns-query"
	tls-service-key: "$E2E/key.pem"
	tls-service-pem: "$E2E/cert.pem"
	access-control: 10.53.0.0/24 allow
	username: ""
	chroot: ""
	directory: "$E2E"
	pidfile: ""
	do-daemonize: no
	use-syslog: no
	msg-buffer-size: 65552
	max-udp-size: 4096
	module-config: "iterator"
	local-zone: "example." static
	local-data: "a.example. 300 A 10.0.0.1"
	local-data: "a.example. 300 AAAA fd00::1"
	local-data: "good.ads.example. 300 A 10.0.0.3"
	local-data: "doh.example. 300 A 10.53.0.2"
	local-zone: "many.example." redirect
	local-data: "many.example. 300 A 10.0.0.2"
	local-zone: "lan." static
	local-zone: "nosuchhost." static
	local-zone: "dying.doh.example." redirect
	local-data: "dying.doh.example. 300 A 10.8.8.8"
	local-data: "printer.lan. 300 A 192.168.77.60"
$(for i in $(seq 60); do printf '\tlocal-data: "mid.example. 300 A 10.1.0.%d"\n' "$i"; done)
$(for i in $(seq 290); do printf '\tlocal-data: '"'"'big.example. 300 TXT "%04d%0196d"'"'"'\n' "$i" 0; done)
remote-control:
	control-enable: no
END
start unbound servers unbound -c "$E2E/unbound.conf"
start dnsmasq servers dnsmasq --keep-in-foreground --no-resolv --no-hosts --listen-address=10.53.0.3 --bind-interfaces --user=root --pid-file= \
	--address=/corp.test/10.0.3.3 --host-record=www.mixed.example,10.0.3.4
start liar servers python3 "$UPSTREAMS" liar 10.53.0.4 10.53.0.14
start silent servers python3 "$UPSTREAMS" silent 10.53.0.6
start http1 servers python3 "$UPSTREAMS" https 10.53.0.8 "$E2E/cert.pem" "$E2E/key.pem" whole
start dying servers python3 "$UPSTREAMS" https 10.53.0.9 "$E2E/cert.pem" "$E2E/key.pem" dying
ask_server() { in_ns servers dig +short +time=1 +tries=1 "@$1" "$2" | grep -q .; }
must wait_for 200 ask_server 10.53.0.2 a.example
must wait_for 200 ask_server 10.53.0.3 x.corp.test
must wait_for 200 ask_server 10.53.0.4 x.lie.example
listens() { in_ns servers bash -c "exec 3<>/dev/tcp/$1/443" 2>/dev/null; }
must wait_for 200 listens 10.53.0.8
must wait_for 200 listens 10.53.0.9

# ---- the proxy

seq 100000 | sed 's/.*/0.0.0.0 tracker&.ads.test/' >"$E2E/blocklist"
echo ads.example >>"$E2E/blocklist"
cat >"$E2E/conf" <<END
listen 192.168.77.1 203.0.113.1 fd77::1   # three networks, two protocols
upstream 10.53.0.2
rule **.corp.test 10.53.0.3
rule www.mixed.example tcp://10.53.0.3
rule **.lie.example 10.53.0.4
rule **.dead.example 10.53.0.5 10.53.0.6 10.53.0.2
rule dead.many.example 10.53.0.5 10.53.0.2
rule silent.many.example 10.53.0.6 10.53.0.2
rule gone.many.example 10.53.0.5
rule h2.many.example https://10.53.0.2/dns-query
rule named.many.example https://doh.example/dns-query
rule **.doh.example https://10.53.0.8/dns-query
rule **.dying.doh.example https://10.53.0.9/dns-query 10.53.0.2
rule good.ads.example default
bootstrap 10.53.0.2
search lan
record nas.lan A 192.168.77.50
record nas.lan AAAA fd77::50
record nas.lan TXT "in the cellar"
record www.lan CNAME nas.lan
record far.lan CNAME a.example
blocklist $E2E/blocklist
rate-limit 0
query-log $E2E/queries
query-log-format json
stats-socket $E2E/stats
END
touch "$E2E/queries"
chmod 666 "$E2E/queries"
proxy() { start proxy router "$EMBERBOX" dns-proxy --config "$E2E/conf" --ca "$E2E/cert.pem" "$@"; }
proxy
must wait_log proxy 'listening.*fd77::1'

dig_at() { in_ns host dig +time=20 +tries=1 "@192.168.77.1" "$@"; }
short() { dig_at +short "$@"; }
is() { # is WANT WORDS...: what `short` says, lines joined
	local want=$1
	shift
	local got
	got=$(short "$@" | sort | tr '\n' ' ')
	[ "$got" = "$want " ] || { echo "\"$got\" instead of \"$want\""; return 1; }
}
status() { dig_at "$@" | grep -o 'status: [A-Z]*' | cut -d' ' -f2; }
has_status() { # has_status CODE WORDS...
	local want=$1
	shift
	[ "$(status "$@")" = "$want" ]
}
count() { # count N WORDS...: so many answers
	local want=$1
	shift
	[ "$(dig_at +noall +answer "$@" | wc -l)" = "$want" ]
}
stat_of() { # stat_of path.to.number
	"$EMBERBOX" dns-proxy stats --stats-socket "$E2E/stats" |
		python3 -c "import json, sys
d = json.load(sys.stdin)
for key in sys.argv[1].split('.'): d = d[key]
print(d)" "$1"
}
grows() { # grows COUNTER CMD...
	local before
	before=$(stat_of "$1")
	shift 1
	"$@" || return
	[ "$(stat_of "$COUNTER")" -gt "$before" ]
}

check answers_over_udp is 10.0.0.1 a.example
check answers_over_tcp is 10.0.0.1 +tcp a.example
check answers_over_ipv6 bash -c "ip netns exec $P-host dig +short +time=20 +tries=1 @fd77::1 a.example AAAA | grep -qx fd00::1"
COUNTER=cache.hits
check second_time_from_the_cache grows cache.hits is 10.0.0.1 a.example
check negative_is_passed_on has_status NXDOMAIN nothing.example

# ---- sizes
check without_edns_512_bytes_at_most bash -c "ip netns exec $P-host dig +noedns +ignore +time=20 @192.168.77.1 mid.example | grep -q 'flags:.* tc'"
check without_edns_whole_over_tcp count 60 +noedns mid.example
check edns_1232_holds_60_addresses count 60 +bufsize=1232 +ignore mid.example
check answer_of_60_kb_over_tcp count 290 +tcp big.example TXT
check answer_of_60_kb_after_truncation count 290 big.example TXT

# ---- rules
check rule_sends_to_dnsmasq is 10.0.3.3 host.corp.test
check rule_over_tcp is 10.0.3.4 www.mixed.example
check default_is_another_server has_status NXDOMAIN other.mixed.example
check blocked_is_nxdomain has_status NXDOMAIN tracker4711.ads.test
check blocked_below_too has_status NXDOMAIN x.y.tracker99999.ads.test
check rule_lifts_out_of_the_blocklist is 10.0.0.3 good.ads.example
check blocked_beside_it has_status NXDOMAIN bad.ads.example
check localhost_stays_here is 127.0.0.1 x.localhost
check onion_goes_nowhere has_status NXDOMAIN x.onion
check application_dns_is_hidden has_status NXDOMAIN use-application-dns.net

# ---- names of one's own
check static_address is 192.168.77.50 nas.lan
check static_aaaa is fd77::50 nas.lan AAAA
check static_text is '"in the cellar"' nas.lan TXT
check static_alias is '192.168.77.50 nas.lan.' www.lan
check static_alias_to_elsewhere is '10.0.0.1 a.example.' far.lan
check derived_reverse_name is nas.lan. -x 192.168.77.50
check derived_reverse_name_of_ipv6 is nas.lan. -x fd77::50
check search_finds_a_static_name is '192.168.77.50 nas.lan.' nas
check search_asks_upstream is '192.168.77.60 printer.lan.' printer
check search_finds_nothing has_status NXDOMAIN nosuchhost

# ---- a router's own link-local address, which it may announce as the resolver of its network
start wildcard router "$EMBERBOX" dns-proxy --listen '[::]:5353' --upstream 10.53.0.2 --stats-socket off
must wait_log wildcard listening
link=$(ip -n "$P-router" -6 -o addr show dev lan scope link | grep -o 'fe80[^/]*')
by_link() { in_ns host dig -p 5353 +short +time=20 +tries=1 "@$link%eth0" "$@" | grep -qx 10.0.0.1; }
check link_local_client_is_answered_late by_link a.example
check link_local_client_is_answered_from_the_cache by_link a.example
check link_local_client_is_answered_over_tcp by_link +tcp a.example
stop wildcard

# ---- who may ask
check stranger_is_refused bash -c "ip netns exec $P-stranger dig +time=20 +tries=1 @203.0.113.1 a.example | grep -q 'status: REFUSED'"
check stranger_learns_nothing_over_tcp bash -c "ip netns exec $P-stranger dig +tcp +time=20 +tries=1 @203.0.113.1 nas.lan | grep -q 'status: REFUSED'"
check strangers_are_counted bash -c "[ $(stat_of queries.foreign) -ge 2 ]"

# ---- upstreams that fail
check dead_upstream_then_the_next is 10.0.0.2 dead.many.example
check silent_upstream_then_the_next is 10.0.0.2 silent.many.example
check nobody_left_is_servfail has_status SERVFAIL gone.many.example
for lie in id question sender million rubbish echo; do
	check "truth_after_a_lie_$lie" is 10.9.9.9 $lie.lie.example
done
check alias_loop_is_harmless bash -c "ip netns exec $P-host dig +time=20 +tries=1 @192.168.77.1 loop.lie.example | grep -qE 'status: (NOERROR|SERVFAIL)'"
check pointer_loop_then_the_truth is 10.9.9.9 pointer.lie.example
check only_lies_are_servfail has_status SERVFAIL never.lie.example
check lies_are_counted bash -c "[ $(stat_of forwarding.wrong_question) -ge 1 ] && [ $(stat_of forwarding.wrong_id) -ge 1 ] && [ $(stat_of forwarding.malformed) -ge 1 ]"

# ---- DNS over HTTPS
if "$EMBERBOX" dns-proxy --upstream https://192.0.2.1/q --check >/dev/null 2>&1; then
	check https_over_http2 is 10.0.0.2 h2.many.example
	check https_by_name_with_bootstrap is 10.0.0.2 named.many.example
	check https_over_http1 is 10.8.8.8 x.doh.example
	dying_all() {
		local i
		for i in 1 2 3 4 5 6; do is 10.8.8.8 "n$i.dying.doh.example" || return; done
	}
	check https_dying_in_the_middle dying_all
else
	skip https "a build without DNS over HTTPS"
fi

# ---- too many connections of one client
holds() {
	in_ns host python3 "$UPSTREAMS" hold 192.168.77.1 nas.lan 60 >"$E2E/held" &
	local holder=$! rc=0
	wait_for 300 grep -q . "$E2E/held" || rc=1
	echo "$(cat "$E2E/held") of 60 connections answered"
	[ "$(cat "$E2E/held")" = 32 ] || rc=1
	is 192.168.77.50 nas.lan || rc=1                                              # UDP goes on
	ip netns exec "$P-stranger" dig +tcp +time=20 +tries=1 @203.0.113.1 nas.lan | grep -q REFUSED || rc=1 # and TCP for others
	wait $holder
	return $rc
}
check tcp_connections_of_one_client_are_limited holds
check they_are_counted bash -c "[ $(stat_of sockets.tcp_over_limit) -ge 28 ]"

# ---- privileges, statistics, query log
status_file=/proc/${PIDS[proxy]}/status
check root_is_given_up grep -qE "^Uid:\s+$(id -u nobody)\s+$(id -u nobody)\s" "$status_file"
check group_too grep -qE "^Gid:\s+$(id -g nobody)\s+$(id -g nobody)\s" "$status_file"
check no_capability_is_left bash -c "! grep -E '^Cap(Prm|Eff|Inh|Amb)' $status_file | grep -qv 0000000000000000"
check no_new_privileges grep -qE '^NoNewPrivs:\s+1' "$status_file"
check statistics_count_rules bash -c "[ $(stat_of rules.blocked_names) = 100001 ]"
logged() { wait_for 100 grep -q "$1" "$E2E/queries"; }
check query_log_tells_outcomes logged '"client":"192.168.77.2","transport":"udp","name":"nas.lan","type":"A","outcome":"static","rcode":"NOERROR"'
check query_log_is_json python3 -c "import json
for line in open('$E2E/queries'): json.loads(line)"

# ---- reload
reload() { # reload PATTERN: SIGHUP, and what the log then says
	local before
	before=$(grep -cE "$1" "$E2E/proxy.log")
	kill -HUP "${PIDS[proxy]}"
	wait_for 200 bash -c "[ \$(grep -cE '$1' $E2E/proxy.log) -gt $before ]"
}
echo "record new.lan A 192.168.77.99" >>"$E2E/conf"
reload_adds() { reload 'configuration read again' && is 192.168.77.99 new.lan; }
check reload_adds_a_record reload_adds
cp "$E2E/conf" "$E2E/conf.good"
printf 'record bad.lan A 192.168.77.999\nnonsense\n' >>"$E2E/conf"
lines=$(wc -l <"$E2E/conf")
reload_keeps() { reload 'old configuration stays' && grep -q "conf:$((lines - 1))" "$E2E/proxy.log" && grep -q "conf:$lines" "$E2E/proxy.log" &&
	is 192.168.77.99 new.lan; }
check reload_of_a_bad_file_keeps_the_old_one reload_keeps
check_tells() {
	"$EMBERBOX" dns-proxy --config "$E2E/conf" --check >"$E2E/told" 2>&1
	[ $? = 2 ] && grep -q "^$E2E/conf:$((lines - 1)): \"192.168.77.999\"" "$E2E/told" && grep -q "^$E2E/conf:$lines: \"nonsense\"" "$E2E/told"
}
check check_tells_every_line check_tells
cp "$E2E/conf.good" "$E2E/conf"
check check_of_a_good_file "$EMBERBOX" dns-proxy --config "$E2E/conf" --check

# Forwarded and cached names, over UDP, while the file with its 100,000 names is read again and again: each time after the time before is over,
# for a machine that needs as long to read it as we pause would do nothing else. A query without an answer is lost however long one waits.
seq 6000 | sed 's/.*/h&.many.example A/' >"$E2E/load"
under_load() {
	in_ns host dnsperf -s 192.168.77.1 -d "$E2E/load" -Q 1000 -q 100 -t 40 -c 4 -n 1 >"$E2E/dnsperf.out" 2>&1 &
	local load=$! reloads=0
	while is_alive $load; do
		reload 'configuration read again' || break
		reloads=$((reloads + 1))
		sleep 0.5
	done
	wait $load
	echo "$reloads reloads"
	cat "$E2E/dnsperf.out"
	[ $reloads -ge 5 ] && grep -q 'Queries lost: *0 ' "$E2E/dnsperf.out" && grep -q 'Queries completed: *6000 ' "$E2E/dnsperf.out" &&
		grep -q 'NOERROR 6000 ' "$E2E/dnsperf.out"
}
check reload_under_load_loses_no_query under_load
check still_there is 10.0.0.1 a.example
stop proxy
check sigterm_is_0 [ $? = 0 ]

# ---- rate, ports, words
proxy --rate-limit '20 10' --stats-socket off
must wait_log proxy 'listening.*fd77::1'
limited() {
	local n ms
	read -r n ms < <(in_ns host python3 "$UPSTREAMS" burst 192.168.77.1 nas.lan 200)
	echo "$n answered within $ms ms"
	[ "$n" -ge 10 ] && [ "$n" -le $((20 + 20 * (ms / 1000 + 1))) ]
}
check rate_is_limited_per_client limited
in_use() {
	in_ns router "$EMBERBOX" dns-proxy --listen 192.168.77.1 --upstream 10.53.0.2 --stats-socket off >"$E2E/told" 2>&1
	[ $? = 1 ] && grep -q '192.168.77.1:53.*in use' "$E2E/told"
}
check port_in_use_is_told in_use
stop proxy
foreign_address() {
	in_ns router "$EMBERBOX" dns-proxy --listen 192.0.2.99 --upstream 10.53.0.2 --stats-socket off >"$E2E/told" 2>&1
	[ $? = 1 ] && grep -q '192.0.2.99:53.*no interface' "$E2E/told"
}
check foreign_address_is_told foreign_address
itself() {
	in_ns router "$EMBERBOX" dns-proxy --listen 192.168.77.1 --upstream 192.168.77.1 --check >"$E2E/told" 2>&1
	[ $? = 2 ] && grep -q 'is this proxy itself' "$E2E/told"
}
check itself_is_no_server itself
from_resolv_conf() {
	in_ns router "$EMBERBOX" dns-proxy --listen 192.168.77.1 --check >"$E2E/told" 2>&1 && grep -q '0 default servers' "$E2E/told" &&
		in_ns router "$EMBERBOX" dns-proxy --listen 127.0.0.1 --check >"$E2E/told" 2>&1 && grep -q '1 default servers' "$E2E/told"
}
check resolv_conf_gives_servers_but_never_itself from_resolv_conf
no_permission() {
	in_ns router setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all "$EMBERBOX" dns-proxy --listen 127.0.0.1 \
		--upstream 10.53.0.2 --stats-socket off >"$E2E/told" 2>&1
	[ $? = 1 ] && grep -q '127.0.0.1:53.*need root' "$E2E/told"
}
in_ns router sysctl -qw net.ipv4.ip_unprivileged_port_start=1024
check no_permission_is_told no_permission
open_resolver() { "$EMBERBOX" dns-proxy --allow 0.0.0.0/0 --upstream 10.53.0.2 --check >"$E2E/told" 2>&1; [ $? = 2 ] && grep -q 'open resolver' "$E2E/told"; }
check open_resolver_is_refused open_resolver

# ---- a wildcard answers from the address that was asked
start proxy router "$EMBERBOX" dns-proxy --listen 0.0.0.0 --listen :: --upstream 10.53.0.2 --stats-socket off
must wait_log proxy 'listening.*\[::\]'
check wildcard_answers is 10.0.0.1 a.example
check wildcard_answers_from_the_cache is 10.0.0.1 a.example
check wildcard_answers_ipv6 bash -c "ip netns exec $P-host dig +short +time=20 +tries=1 @fd77::1 a.example | grep -qx 10.0.0.1"
finish
