#!/bin/bash
# What client and gateway do to the machine they run on, and what a machine can do to them: firewalls that drop, ports that are taken, a
# missing address family, another uplink; and that they leave it as they found it.
#
# needs: root
# packages: ip:iproute2 nft:nftables curl:curl python3:python3
# timeout: 400
. "$(dirname "$0")/lib.sh"

# All that we could have left there, in a form that compares.
host_state() {
	in_ns "$1" sh -c 'ip rule; ip -6 rule; nft list ruleset | sed "s/counter packets [0-9]* bytes [0-9]*/counter/"
		ip -o link | cut -d: -f2; for t in 539098368 539098369 539098370; do ip route show table $t; ip -6 route show table $t; done' 2>/dev/null
}
same_state() { diff "$E2E/$1.before" <(host_state "$1"); }
has_tunnel() { [ -n "$(ip -n "$P-$1" link show tun-firezone 2>/dev/null)" ] && in_ns "$1" nft list tables | grep -q emberbox; }
mask_of() { awk -v k="$1:" '$1 == k { print $2 }' "/proc/${PIDS[$2]}/status"; }

# A gateway like Docker's and ufw's hosts: what is forwarded is dropped unless somebody lets it pass.
must internet cone cone
in_ns gateway nft -f - <<-'END'
	table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; iifname "docker0" accept; }; }
END
in_ns client sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
host_state gateway >"$E2E/gateway.before"
host_state client >"$E2E/client.before"
must start_web
must start_portal
start_relay relay
must has_joined relay

start squatter client python3 -c '
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 52625))
print("taken", flush=True)
time.sleep(1000)'
must wait_log squatter taken
start_gateway gateway
must has_joined gateway
start_client
must wait_for 150 has_route
check spec20_1_port_taken_and_one_family_missing fetch http://10.9.0.80/small
check spec40_12_forward_chain_that_drops fetch http://10.9.0.80/small
check spec40_12_masquerade grep -q '10\.3\.0\.1' "$E2E/web.log"
check spec30_67_no_ipv6 not grep -q fd00: <(ip -n "$P-client" addr show dev tun-firezone)

# Another address on the same cable: noticed by netlink, without a signal.
replies() { in_ns client ping -q -c1 -W0.3 10.9.0.80 >/dev/null; }
gap_after_moving() {
	client_moves 66
	local began
	began=$(now_ms)
	until replies; do
		[ $(($(now_ms) - began)) -lt 30000 ] || return 1
	done
	gap=$(($(now_ms) - began))
	fetch http://10.9.0.80/small
}
if check spec30_71_uplink_renumbered gap_after_moving; then
	note "traffic flows again $gap ms after the client's address changed"
fi

check capabilities_are_dropped eval '[ "$(mask_of CapEff client)" = 0000000000001000 ] && [ "$(mask_of CapEff gateway)" = 0000000000001000 ]'

check spec30_78_client_ends_with_0 stop client
check client_leaves_nothing_behind same_state client
check spec40_7_gateway_ends_with_0 stop gateway
check gateway_leaves_nothing_behind same_state gateway

# Killed, it cannot tidy up; the next one does.
start_gateway gateway
must has_joined gateway
must wait_for 150 has_tunnel gateway
stop gateway KILL
check killed_gateway_left_its_rules not same_state gateway
start_gateway gateway
check gateway_starts_on_what_a_killed_one_left has_joined gateway
must wait_for 150 has_tunnel gateway
stop gateway
check gateway_tidies_up_after_a_killed_one same_state gateway
finish
