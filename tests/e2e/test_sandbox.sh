#!/bin/bash
# The gateway under the restrictions of Firezone's packaged unit (spec 40 §2.3), as far as they can be had without systemd: an own user, one
# capability, no address family but IP and netlink, no memory both writable and executable, no new privileges or namespaces, a read-only
# system, no home directories, the unit's limits, and the token as a systemd credential.
# needs: root
# packages: ip:iproute2 nft:nftables curl:curl python3:python3 setpriv:util-linux unshare:util-linux prlimit:util-linux
# timed: it ends within two seconds
. "$(dirname "$0")/lib.sh"

must internet cone cone
must start_web
must start_portal
start_relay relay
must has_joined relay

chmod 755 "$E2E"
install -m 755 -D "$EMBERBOX" "$E2E/bin/emberbox"
install -d -m 700 -o 65534 "$E2E/credentials"
install -m 400 -o 65534 /dev/null "$E2E/credentials/FIREZONE_TOKEN"
printf '%s\n' "$GATEWAY_TOKEN" >"$E2E/credentials/FIREZONE_TOKEN"

# start_confined NAME PLACE CMD…: the mounts are root's last act; the filter holds from the beginning
start_confined() {
	local name=$1 where=$2
	shift 2
	start "$name" "$where" unshare -m --propagation private python3 "$ROOT/tests/e2e/sandbox.py" sh -c '
		for dir in /usr /boot /etc; do
			[ ! -d $dir ] || { mount --bind $dir $dir && mount -o remount,bind,ro $dir; } || exit 97
		done
		mount -t tmpfs -o ro,mode=000 none /root && mount -t tmpfs -o ro,mode=000 none /home || exit 98
		exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps +net_admin --ambient-caps +net_admin \
			--bounding-set -all,+net_admin --no-new-privs \
			prlimit --nofile=4096 --nproc=512 --core=0 -- "$@"' confined "$@"
}

start_confined gateway gateway env CREDENTIALS_DIRECTORY="$E2E/credentials" FIREZONE_NAME=gateway FIREZONE_ID="$P-gateway" \
	RUST_LOG=debug FIREZONE_FLOW_LOGS=true "$E2E/bin/emberbox" gateway --api-url "$API_URL"
check spec40_08_joins_inside_the_packaged_sandbox has_joined gateway
check spec40_05_token_is_the_trimmed_credential has_joined gateway
status() { cat "/proc/$(pgrep -P "${PIDS[gateway]}" -f 'bin/emberbox' || echo "${PIDS[gateway]}")/status"; }
check runs_as_its_own_user bash -c "grep -q '^Uid:.65534' <<<'$(status)'"
check holds_one_capability bash -c "grep -q '^CapBnd:.0000000000001000' <<<'$(status)' && grep -q '^CapEff:.0000000000001000' <<<'$(status)'"
check is_filtered bash -c "grep -q '^Seccomp:.2' <<<'$(status)'"
start_client
must wait_for 150 ip -n "$P-client" addr show dev tun-firezone up
must wait_for 150 has_route
check spec40_08_carries_traffic_inside_it fetch http://10.9.0.80/small
check content_is_whole cmp "$E2E/www/small" "$E2E/fetched"
check spec40_63_the_fetch_is_one_line_in_the_log wait_log gateway \
	'TRACE flow_logs::tcp: TCP flow completed client_id=.* actor_email=jo@acme.example .* resource_name=lab resource_address=10.9.0.0/24 .* inner_dst_ip=10.9.0.80 .* inner_dst_port=80 .* rx_packets=[0-9]+ tx_packets=[0-9]+ rx_bytes=[0-9]{4,} tx_bytes=[0-9]+$' 30
check nothing_was_refused bash -c "! grep -E 'cannot (install|enable|give|set)|WARN|ERROR' '$E2E/gateway.log'"
# Neither portal nor relay answers any more: the goodbye is said all the same, and nobody waits for long.
marked() { in_ns "$1" ss -tneH dst 198.51.100.2 | grep -q 'fwmark:0xfd002021'; }
check spec10_12_control_socket_of_the_gateway_is_marked marked gateway
check spec10_12_control_socket_of_the_client_is_marked marked client
kill -STOP "${PIDS[portal]}" "${PIDS[relay]}"
begin=$(now_ms)
check spec10_32_sigterm_is_0 stop gateway
took=$(($(now_ms) - begin))
check spec20_65_goodbyes_are_flushed_within_a_second test $took -lt 2000
kill -CONT "${PIDS[portal]}" "${PIDS[relay]}"
check rules_are_taken_back bash -c "! ip netns exec $P-gateway nft list tables | grep -q ."
check client_hears_the_goodbye wait_log client 'peer said goodbye' 10
finish
