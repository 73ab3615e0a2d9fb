#!/bin/bash
# The forwarder and its sockets (core/dns/forward.h, applets/common/dns_sockets.h) with real servers: unbound and dnsmasq over UDP, TCP and HTTPS;
# answers of 50 KB; servers that are dead, silent, or killed meanwhile.
#
# needs: root
# packages: unbound:unbound dnsmasq:dnsmasq-base openssl:openssl python3:python3-minimal ip:iproute2
# timeout: 240
#
# All on loopback of a network namespace of its own. forward_driver tells what happens.
needs_driver=forward_driver
. "$(dirname "$0")/resolvers.sh"

# --- the servers ----------------------------------------------------------------------------------------------------------------------
certificate IP:127.0.0.1
cat >"$work/unbound.conf" <<END
server:
	interface: 127.0.0.1@5301
	interface: 127.0.0.1@8443
	https-port: 8443
	tls-service-key: "$work/key.pem"
	tls-service-pem: "$work/cert.pem"
	username: ""
	chroot: ""
	directory: "$work"
	pidfile: ""
	do-daemonize: no
	use-syslog: no
	verbosity: 1
	msg-buffer-size: 65552
	local-zone: "many.example." redirect
	local-data: "many.example. A 192.0.2.7"
	local-zone: "big.example." static
$(for i in $(seq 240); do printf '\tlocal-data: '"'"'big.example. TXT "%04d%0196d"'"'"'\n' "$i" 0; done)
remote-control:
	control-enable: no
END
start() { # start NAME COMMAND...
	"${@:2}" >"$work/$1.log" 2>&1 </dev/null &
	pids="$pids $!"
}
start unbound unbound -c "$work/unbound.conf"
unbound=$!
start dnsmasq dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --pid-file= --port=5302 --listen-address=127.0.0.1 --bind-interfaces \
	--no-resolv --no-hosts --server=127.0.0.1#5301 --address=/many.example/192.0.2.8 --cache-size=0 \
	--host-record=real.test,192.0.2.9,2001:db8::9 --cname=alias.test,real.test
# Takes queries and never answers.
start void python3 -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 5309))
while True: s.recv(65536)'
for port in 5301 5302 8443; do
	for _ in $(seq 200); do
		(exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null && continue 2
		sleep 0.1
	done
	echo "not ok dns_upstreams: nobody listens on port $port"
	tail -n 5 "$work"/*.log
	exit 1
done
U=udp:127.0.0.1:5301 D=udp:127.0.0.1:5302 SILENT=udp:127.0.0.1:5309 CLOSED=udp:127.0.0.1:5310
H=https://127.0.0.1:8443/dns-query

# --- the tests ------------------------------------------------------------------------------------------------------------------------
drive() { "$driver" -c "$work/cert.pem" "$@" >"$work/driver.log" 2>&1; }
says() { grep -qxE -- "$1" "$work/driver.log"; }
all() { says "answered $1 servfail 0, records $2, longest .*"; }
result() { # result NAME STATUS
	if [ "$2" -eq 0 ]; then echo "ok dns_$1"; else echo "not ok dns_$1"; sed 's/^/    /' "$work/driver.log" | tail -n 15; fi
}

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
	drive "$first,$D" ask host%.many.example 1 200 wait sleep 3000 ask host%.many.example 1 200 wait sleep 100 ask host%.many.example 1 200 wait &
	victim=$!
	for _ in $(seq 100); do
		all 200 200 2>/dev/null && break
		sleep 0.1
	done
	kill -9 "$unbound"
	wait "$unbound" 2>/dev/null
	wait "$victim" && all 600 600
	result "killed_server_is_replaced_${first%%:*}" $?
	start unbound unbound -c "$work/unbound.conf"
	unbound=$!
	for _ in $(seq 200); do
		(exec 3<>/dev/tcp/127.0.0.1/8443) 2>/dev/null && break
		sleep 0.1
	done
done
