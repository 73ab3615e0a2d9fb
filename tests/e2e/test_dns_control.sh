#!/bin/bash
# The client takes over the system's DNS and gives it back (spec 30 §16, items 70 and 71): /etc/resolv.conf before, during and after,
# also after kill -9 and with somebody else's edit meanwhile. The client sees a copy of /etc, never the machine's.
# With systemd-resolved (item 69) programs ask that one at 127.0.0.53, and it asks the client. More of systemd-resolved, D-Bus and dnsmasq:
# tests/interop/test_dns_control.sh; what it cannot take over: test_errors.sh.
#
# needs: root
# packages: ip:iproute2 nft:nftables curl:curl python3:python3 dbus-daemon:dbus /usr/lib/*/systemd/libsystemd-shared-*.so:libsystemd-shared
. "$(dirname "$0")/lib.sh"

plain='# by hand
nameserver 198.51.100.1
options timeout:2'
helper="python3 $ROOT/tests/interop/dns_helper.py"

must own_etc client /run
file=$E2E/etc-client/resolv.conf
run=$E2E/run-client
echo "$plain" >"$file"
mkdir -p "$run/dbus" "$run/systemd/resolve" "$E2E/resolved"

start_controlled() { # start_controlled METHOD [OPTIONS…]
	DNS_CONTROL=$1 start_client "${@:2}"
}
is_up() { wait_for 150 has_route; }
is_ours() { head -1 "$file" | grep -qx '# BEGIN Firezone DNS configuration' && grep -qE '^nameserver 100\.100\.111\.' "$file"; }
is_plain() { [ "$(cat "$file")" = "$plain" ]; }
address_of() { in_ns client getent ahostsv4 "$1" | awk 'NR == 1 { print $1 }'; }
is_at() { [[ $(address_of "$1") == $2 ]]; }
ends_with() { stop client "${2:-TERM}"; [ $? -eq "$1" ]; }

must internet none none
start resolver inet $helper serve 198.51.100.1 203.0.113.99 2001:db8::99
must wait_log resolver serving
must start_portal
must admin resource add --site Berlin --address app.example.internal --name app >"$E2E/portal-more.log"
must admin policy add --group Everyone --resource app >>"$E2E/portal-more.log"
start_relay relay
must has_joined relay
start_gateway gateway
must has_joined gateway
must wait_for 50 is_at elsewhere.example 203.0.113.99

start_controlled etc-resolv-conf
must is_up
check spec30_70_resolv_conf_is_ours wait_for 50 is_ours
check spec30_70_names_of_resources_resolve wait_for 50 is_at app.example.internal '100.*'
check spec30_70_other_names_go_where_they_went wait_for 50 is_at elsewhere.example 203.0.113.99
check spec30_70_backup_is_the_original [ "$(cat "$file.before-firezone")" = "$plain" ]
check spec30_70_ends_with_0 ends_with 0
check spec30_70_restored_at_exit is_plain
check spec30_70_works_as_before wait_for 50 is_at elsewhere.example 203.0.113.99

start_controlled etc-resolv-conf
must is_up
must wait_for 50 is_ours
stop client KILL
check spec30_70_after_kill_it_is_still_ours is_ours
start_controlled etc-resolv-conf --exit
check spec30_70_next_start_reaches_the_portal wait_log client 'Connected to portal' 30
must wait_for 200 eval '! is_alive "${PIDS[client]}"'
check spec30_70_restored_by_the_next_run is_plain
unset "PIDS[client]"

# Somebody else writes the file while the client runs: seen, followed, and left alone at exit.
start resolver2 inet $helper serve 203.0.113.1 203.0.113.98 2001:db8::98
must wait_log resolver2 serving
start_controlled etc-resolv-conf
must is_up
must wait_for 50 is_ours
echo 'nameserver 203.0.113.1' >"$file"
foreign_or_ours() { is_ours && grep -qx 'nameserver 203.0.113.1' "$file.before-firezone"; }
check spec30_71_new_resolvers_are_followed wait_for 150 foreign_or_ours
check spec30_71_other_names_go_to_the_new_resolver wait_for 50 is_at elsewhere.example 203.0.113.98
check spec30_70_names_of_resources_still_resolve wait_for 50 is_at app.example.internal '100.*'
echo '# hands off' >>"$file"
check spec30_70_ends_with_0_again ends_with 0
check spec30_70_foreign_edit_is_left_alone grep -q '^# hands off' "$file"
check spec30_70_foreign_edit_is_told grep -q 'left as it is' "$E2E/client.log"

echo "$plain" >"$file"
start_controlled disabled
must is_up
check dns_disabled_leaves_the_file_alone is_plain
check dns_disabled_ends_with_0 ends_with 0

# ---- systemd-resolved -----------------------------------------------------------------------------------------------------------------

"$ROOT/tests/interop/unpack_resolved.sh" "$E2E/resolved"
resolvectl() { in_ns client "$E2E/resolved/resolvectl" "$@"; }
start_resolved() {
	local user=systemd-resolve
	grep -q "^$user:" "$E2E/etc-client/passwd" || echo "$user:x:996:996::/:/usr/sbin/nologin" >>"$E2E/etc-client/passwd"
	grep -q "^$user:" "$E2E/etc-client/group" || echo "$user:x:996:" >>"$E2E/etc-client/group"
	mkdir -p "$E2E/etc-client/systemd"
	printf '[Resolve]\nDNS=198.51.100.1\nFallbackDNS=\nDNSSEC=no\n' >"$E2E/etc-client/systemd/resolved.conf"
	echo 'nameserver 127.0.0.53' >"$file"
	sed -i 's/^hosts:.*/hosts: files dns/' "$E2E/etc-client/nsswitch.conf"
	start bus client dbus-daemon --config-file="$ROOT/tests/interop/system_bus.conf" --nofork --nopidfile
	wait_for 150 test -S "$run/dbus/system_bus_socket"
	in_ns client chown $user: /run/systemd/resolve
	start resolved client "$E2E/resolved/systemd-resolved"
	wait_for 100 is_at elsewhere.example 203.0.113.99
}
has_sentinel() { resolvectl dns tun-firezone | grep -q '100\.100\.111\.'; }
is_catch_all() { resolvectl domain tun-firezone | grep -q ': ~\.$'; }

if ! [ -e "$E2E/resolved/systemd-resolved" ]; then
	skip spec30_69_resolved "systemd-resolved is not available"
elif ! start_resolved; then
	skip spec30_69_resolved "systemd-resolved does not run here"
else
	start client client env FIREZONE_TOKEN="$CLIENT_TOKEN" FIREZONE_NAME=client FIREZONE_ID="$P-client" RUST_LOG=debug \
		PATH="$E2E/resolved:$PATH" "$EMBERBOX" client --api-url "$API_URL"
	check spec30_69_is_the_default is_up
	check spec30_69_sentinel_set wait_for 50 has_sentinel
	check spec30_69_catch_all_without_search_domain wait_for 50 is_catch_all
	check spec30_69_names_of_resources_resolve wait_for 50 is_at app.example.internal '100.*'
	check spec30_69_other_names_go_where_they_went wait_for 50 is_at elsewhere.example 203.0.113.99
	check spec30_69_listens_to_the_bus wait_log client "listening on the system's D-Bus"

	# Another resolver is told by D-Bus and asked at once.
	ip -n "$P-client" link add up0 type veth peer name up1
	ip -n "$P-client" link set up0 up
	ip -n "$P-client" link set up1 up
	ip -n "$P-client" addr add 192.168.77.1/24 dev up0
	resolvectl dns up0 203.0.113.1
	check spec30_71_resolved_tells_of_a_new_resolver wait_log client 'DNS servers changed count=2' 15

	check spec30_69_ends_with_0 ends_with 0
	check spec30_69_settings_vanish_with_the_interface wait_for 50 eval '! resolvectl dns | grep -q "100\.100\.111"'
	check spec30_69_works_as_before wait_for 50 is_at elsewhere.example '203.0.113.9*'
fi
finish
