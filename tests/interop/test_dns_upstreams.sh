#!/bin/bash
# The forwarder and its sockets (core/dns/forward.h, applets/common/dns_sockets.h) with real servers: unbound and dnsmasq over UDP, TCP and HTTPS;
# answers of 50 KB; servers that are dead, silent, or killed meanwhile.
#
# needs: root
# packages: unbound:unbound dnsmasq:dnsmasq-base openssl:openssl python3:python3-minimal ip:iproute2
# timeout: 600
#
# All on loopback of a network namespace of its own. forward_driver tells what happens.
. "$(dirname "$0")/resolvers.sh"
needs_driver forward_driver
PREFIX=dns_

# --- the servers ----------------------------------------------------------------------------------------------------------------------
certificate IP:127.0.0.1
unbound_answers
launch unbound unbound -c "$work/unbound.conf"
launch dnsmasq dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --pid-file= --port=5302 --listen-address=127.0.0.1 --bind-interfaces \
	--no-resolv --no-hosts --server=127.0.0.1#5301 --address=/many.example/192.0.2.8 --cache-size=0 \
	--host-record=real.test,192.0.2.9,2001:db8::9 --cname=alias.test,real.test
launch_void
must_listen 5301 5302 8443
U=udp:127.0.0.1:5301 D=udp:127.0.0.1:5302 SILENT=udp:127.0.0.1:5309 CLOSED=udp:127.0.0.1:5310
H=https://127.0.0.1:8443/dns-query

# --- the tests ------------------------------------------------------------------------------------------------------------------------
drive() { "$driver" -c "$work/cert.pem" "$@" >"$work/driver.log" 2>&1; }
says() { grep -qxE -- "$1" "$work/driver.log"; }
all() { says "answered $1 servfail 0, records $2, longest .*"; }

# the driver checks ID and question of each answer
drive $U ask host%.many.example 1 3000 wait stats && all 3000 3000
result spec30_54_unbound_over_udp $?
drive $D ask host%.many.example 1 3000 wait stats && all 3000 3000
result spec30_54_dnsmasq_over_udp $?
drive $U askt host%.many.example 1 3000 wait stats && all 3000 3000 && says '.* tcp sent [0-9]+ over [1-4] connections.*'
result unbound_over_pipelined_tcp $?
# dnsmasq closes a connection after 100 queries, whatever is still on its way
drive $D window 20 askt host%.many.example 1 500 wait stats && all 500 500
result dnsmasq_over_tcp_that_closes_again_and_again $?
drive $H ask host%.many.example 1 500 wait stats && all 500 500 && says '.* over 1 connections'
result unbound_over_https $?

for server in "$U" "$D"; do
	drive "$server" ask big.example 16 3 wait stats && says 'answered 3 servfail 0, records 720, longest 5[0-9]{4}' && says '.*retried_tcp [1-3] .*'
	result "50_kb_come_by_tcp_after_truncation_${server##*:}" $?
done

drive $CLOSED,$U ask host%.many.example 1 300 wait stats && all 300 300
result closed_port_then_live_server $?
drive $SILENT,$U ask host%.many.example 1 300 wait stats && all 300 300
result silent_server_then_live_server $?
drive -u $SILENT,$CLOSED,$U,$D ask host%.many.example 1 2000 wait stats && all 2000 2000
result dead_servers_among_live_ones_by_speed $?
drive $CLOSED askt host%.many.example 1 3 ask host%.many.example 1 3 wait && says 'answered 6 servfail 6, records 0, .*'
result only_dead_servers_are_servfail $?
drive https://127.0.0.1:8499/dns-query,$U ask host%.many.example 1 50 wait && all 50 50
result dead_https_resolver_then_live_server $?

drive $D lookup alias.test lookup nothing.test lookup localhost && says 'alias.test: 192.0.2.9 2001:db8::9' && says 'nothing.test:.*' &&
	says 'localhost: 127.0.0.1 ::1'
result lookup_follows_cnames_of_dnsmasq $?

# killed between two thirds of the queries: connections of all kinds are lost
for first in $U tcp:127.0.0.1:5301 $H; do
	rm -f "$work/driver.log" # of the one before
	drive "$first,$D" ask host%.many.example 1 200 wait sleep 3000 ask host%.many.example 1 200 wait sleep 100 ask host%.many.example 1 200 wait &
	victim=$!
	wait_for 300 all 200 200
	stop unbound KILL
	wait "$victim" && all 600 600
	result "killed_server_is_replaced_${first%%:*}" $?
	launch unbound unbound -c "$work/unbound.conf"
	must wait_for 300 listens 8443
done
finish
