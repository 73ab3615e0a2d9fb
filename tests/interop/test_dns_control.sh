#!/bin/bash
# System DNS control and news of the host (spec 30 §16, §17) against the real programs: systemd-resolved with resolvectl on a D-Bus of
# the test's own, NetworkManager's signals from a D-Bus service, dnsmasq, and /etc/resolv.conf. Everything happens in namespaces of the
# script's own, with a /run and a copy of /etc of their own; the machine's are never touched. systemd-resolved is unpacked,
# not installed: its package would take over the machine's DNS.
#
# needs: root
# packages: ip:iproute2 dbus-daemon:dbus dnsmasq:dnsmasq-base python3:python3 /usr/lib/python3/dist-packages/dbus:python3-dbus /usr/lib/python3/dist-packages/gi:python3-gi /usr/lib/*/systemd/libsystemd-shared-*.so:libsystemd-shared
# timeout: 600
. "$(dirname "$0")/lib.sh"
if [ -z "${IN_NAMESPACE:-}" ]; then
	[ "$(id -u)" = 0 ] || { skip dns_control "needs root" && finish; }
	tests/interop/unpack_resolved.sh "$work"
	IN_NAMESPACE=1 UNPACKED=$work unshare -mnpf --mount-proc --kill-child "$SELF"
	exit
fi
needs_driver dns_driver
helper="/usr/bin/python3 $ROOT/tests/interop/dns_helper.py"

soon() { wait_for 200 "$@"; }
says() { grep -qE -- "$2" "$work/$1.log"; }
says_times() { [ "$(grep -cE -- "$2" "$work/$1.log")" -ge "$3" ]; }

start() { # start NAME CMD…: its input is a pipe at $work/NAME.in
	local name=$1
	shift
	rm -f "$work/$name.in"
	mkfifo "$work/$name.in"
	"$@" <>"$work/$name.in" >"$work/$name.log" 2>&1 &
	PIDS[$name]=$!
}
tell() { echo "$2" >"$work/$1.in"; }
start_driver() {
	start driver "$driver" "$@"
	soon says driver '^(open|cannot open)'
}
quit_driver() {
	tell driver quit
	wait "${PIDS[driver]}"
	local rc=$?
	unset "PIDS[driver]"
	return $rc
}

# ---- the place ------------------------------------------------------------------------------------------------------------------

must mount --make-rprivate /
must mount -t tmpfs none /run
must cp -a /etc "$work/etc"
must mount --bind "$work/etc" /etc
touch /etc/only-in-the-copy
[ -e "$work/etc/only-in-the-copy" ] || exit 1
mkdir -p /run/dbus /run/systemd/resolve
rm -rf /etc/netns
plain='# by hand
nameserver 192.0.2.9
options timeout:1'
restore_conf() {
	rm -f /etc/resolv.conf*
	echo "$plain" >/etc/resolv.conf
}
restore_conf
if ! grep -q '^systemd-resolve:' /etc/passwd; then
	echo 'systemd-resolve:x:996:996::/:/usr/sbin/nologin' >>/etc/passwd
	echo 'systemd-resolve:x:996:' >>/etc/group
fi
must ip link set lo up
must ip link add tun-test type veth peer name far
ip link set tun-test up
ip link set far up
ip addr add 100.64.0.1/32 dev tun-test

start_bus() {
	rm -f /run/dbus/system_bus_socket
	start bus dbus-daemon --config-file="$ROOT/tests/interop/system_bus.conf" --nofork --nopidfile
	soon test -S /run/dbus/system_bus_socket
}

# ---- systemd-resolved -------------------------------------------------------------------------------------------------------------

PATH=$UNPACKED:$PATH
resolved=$UNPACKED/systemd-resolved

has_setting() { # has_setting VERB TEXT: as resolvectl tells of the interface
	resolvectl "$1" tun-test 2>/dev/null | grep -qE "^Link [0-9]+ \(tun-test\): $2\$"
}
lacks_setting() { ! resolvectl "$1" tun-test | grep -qF -- "$2"; }
start_resolved() {
	chown systemd-resolve: /run/systemd/resolve
	start resolved "$resolved"
	soon resolvectl dns
}

test_resolved() {
	start_driver systemd-resolved tun-test
	check spec30_69_resolved_reads_the_systems_resolvers soon says driver '^servers 192\.0\.2\.9$'
	tell driver 'activate - 100.100.111.1 fd00:2021:1111:8000:100:100:111:0'
	check spec30_69_resolved_takes_the_sentinels soon says driver '^active$'
	check spec30_69_resolved_has_the_sentinels has_setting dns '100\.100\.111\.1 fd00:2021:1111:8000:100:100:111:0'
	check spec30_69_resolved_has_the_catch_all has_setting domain '~\.'
	check spec30_69_resolved_has_llmnr has_setting llmnr yes
	tell driver 'activate corp.example 100.100.111.2'
	soon says_times driver '^active$' 2
	check spec30_69_search_domain_without_catch_all has_setting domain corp.example
	check spec30_69_sentinels_replaced has_setting dns '100\.100\.111\.2'
	tell driver flush
	tell driver 'activate -'
	soon says_times driver '^active$' 3
	check spec30_69_no_sentinels_revert lacks_setting dns 100.100.111

	# The bus tells of another resolver: of the sentinels nothing is heard, of the new one at once.
	ip link add up0 type veth peer name up1
	ip link set up0 up
	ip link set up1 up
	ip addr add 198.51.100.7/24 dev up0
	tell driver 'activate - 100.100.111.3'
	soon says_times driver '^active$' 4
	resolvectl dns up0 198.51.100.53
	check spec30_71_resolved_tells_of_a_new_resolver soon says driver '^servers 192\.0\.2\.9 198\.51\.100\.53$'
	check spec30_71_sentinels_are_not_system_resolvers eval '! says driver "^servers.*100\\.100\\.111"'
	resolvectl revert up0
	check spec30_71_resolved_tells_of_a_lost_resolver soon says_times driver '^servers 192\.0\.2\.9$' 2

	# NetworkManager, before and after the bus was gone.
	start nm $helper nm
	soon says nm serving
	tell nm State
	tell nm PrimaryConnection
	check spec30_71_network_manager_tells_of_another_connection soon says driver '^network$'
	sleep 1 # longer than news are collected: a second one would be there
	check spec30_71_other_properties_are_ignored eval '! says_times driver "^network$" 2'
	stop nm
	stop bus
	stop resolved
	check spec30_71_a_lost_bus_is_no_end soon says driver 'D-Bus is gone'
	start_bus
	start_resolved
	soon says_times driver 'listening on the system' 2
	resolvectl dns up0 198.51.100.54
	check spec30_71_news_after_the_bus_returned soon says driver '^servers 192\.0\.2\.9 198\.51\.100\.54$'
	check spec30_69_ends_well quit_driver

	ip link add short type veth peer name short1
	start_driver systemd-resolved short
	ip link del short
	tell driver 'activate - 100.100.111.1'
	check spec30_69_failure_is_told_with_its_reason soon says driver '^failed resolvectl dns: exit status 1: .*short'
	quit_driver
	stop resolved
	tests_without_resolved
}

tests_without_resolved() {
	start_driver systemd-resolved tun-test
	tell driver 'activate - 100.100.111.1'
	check spec30_69_without_resolved_activation_fails soon says driver '^failed resolvectl dns: '
	quit_driver
}

if [ -x "$resolved" ] && command -v resolvectl >/dev/null; then
	must start_bus
	if start_resolved; then
		test_resolved
	else
		skip spec30_69_resolved "systemd-resolved does not run here"
	fi
	stop bus
else
	skip spec30_69_resolved "systemd-resolved is not available"
fi
rm -f /run/dbus/system_bus_socket

# ---- /etc/resolv.conf ---------------------------------------------------------------------------------------------------------------

is_plain() { [ "$(cat /etc/resolv.conf)" = "$plain" ]; }
is_ours() { head -1 /etc/resolv.conf | grep -qx '# BEGIN Firezone DNS configuration' && grep -qx "nameserver $1" /etc/resolv.conf; }
resolves_by() { getent ahostsv4 anything.example | grep -q "^$1 "; }

test_file() {
	local test=$1
	restore_conf
	start_driver etc-resolv-conf tun-test
	soon says driver '^servers 192\.0\.2\.9$'
	tell driver 'activate - 100.100.111.1'
	soon says driver '^active$'
	check "${test}_rewritten" is_ours 100.100.111.1
	check "${test}_programs_ask_the_sentinel" resolves_by 100.96.0.9
	check "${test}_ends_well" quit_driver
	check "${test}_restored" is_plain
}

ip addr add 100.100.111.1/32 dev lo
start sentinel $helper serve 100.100.111.1 100.96.0.9 fd00:2021:1111:8000::9
soon says sentinel serving
test_file spec30_70_file

start_driver etc-resolv-conf tun-test
tell driver 'activate corp.example 100.100.111.1'
soon says driver '^active$'
stop driver KILL
check spec30_70_after_kill_the_file_is_ours is_ours 100.100.111.1
start_driver etc-resolv-conf tun-test
check spec30_70_next_start_restores is_plain
check spec30_71_resolvers_after_kill soon says driver '^servers 192\.0\.2\.9$'
tell driver 'activate - 100.100.111.1'
soon says driver '^active$'
echo 'nameserver 192.0.2.10' >/etc/resolv.conf
check spec30_71_a_changed_file_is_seen_within_5_s soon says driver '^servers 192\.0\.2\.10$'
check spec30_71_and_is_taken_again soon is_ours 100.100.111.1
check spec30_71_its_text_is_kept [ "$(cat /etc/resolv.conf.before-firezone)" = 'nameserver 192.0.2.10' ]
echo 'options rotate' >>/etc/resolv.conf
edited=$(cat /etc/resolv.conf)
quit_driver
check spec30_70_foreign_edit_is_left_alone [ "$(cat /etc/resolv.conf)" = "$edited" ]
check spec30_70_foreign_edit_is_told says driver 'changed by somebody else and is left as it is'
start_driver etc-resolv-conf tun-test
quit_driver
check spec30_70_next_start_puts_back_what_was_before [ "$(cat /etc/resolv.conf)" = 'nameserver 192.0.2.10' ]
check spec30_70_and_keeps_the_edit [ "$(cat /etc/resolv.conf.before-firezone-edited)" = "$edited" ]
start_driver etc-resolv-conf tun-test
quit_driver
check spec30_70_a_foreign_file_survives_a_start [ "$(cat /etc/resolv.conf)" = 'nameserver 192.0.2.10' ]

# As container runtimes do it: a file mounted there cannot be renamed over.
restore_conf
echo "$plain" >"$work/mounted"
must mount --bind "$work/mounted" /etc/resolv.conf
start_driver etc-resolv-conf tun-test
tell driver 'activate - 100.100.111.1'
soon says driver '^active$'
check spec30_70_a_mounted_file_is_rewritten is_ours 100.100.111.1
quit_driver
check spec30_70_a_mounted_file_is_restored is_plain
umount /etc/resolv.conf

rm /etc/resolv.conf
ln -s /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
start_driver etc-resolv-conf tun-test
check spec30_70_a_symlink_is_refused says driver '^cannot open: /etc/resolv.conf is a symbolic link to /run/systemd/resolve/stub-resolv.conf'
stop driver
restore_conf

# ---- dnsmasq ------------------------------------------------------------------------------------------------------------------------

# A router's dnsmasq with OpenWrt's usual options. Our side has given up its privileges, so the command that restarts it asks somebody who
# has them, as `/etc/init.d/dnsmasq restart` asks procd and `systemctl restart` systemd.
mkdir "$work/dnsmasq.d"
mkfifo "$work/wanted" "$work/done"
run_dnsmasq() {
	dnsmasq --conf-file=/dev/null --conf-dir="$work/dnsmasq.d" --pid-file="$work/dnsmasq.pid" --resolv-file="$work/upstreams" \
		--listen-address=127.0.0.1 --bind-interfaces --user=root --log-facility="$work/dnsmasq.log" "$@" 2>>"$work/dnsmasq-start.log"
}
serve_restarts() {
	local wanted i
	while read -r wanted <"$work/wanted"; do
		[ -e "$work/dnsmasq.pid" ] && kill "$(cat "$work/dnsmasq.pid")"
		while [ -e "$work/dnsmasq.pid" ]; do sleep 0.05; done # it removes it at its end, and then closes its sockets
		for ((i = 0; i < 50; i++)); do
			run_dnsmasq ${wanted#restart} && break
			sleep 0.1
		done
		echo $((i == 50)) >"$work/done"
	done
}
serve_restarts &
PIDS[manager]=$!
cat >"$work/restart" <<-END
	#!/bin/sh
	echo restart \$DNSMASQ_MORE >$work/wanted
	read status <$work/done
	exit \$status
END
chmod +x "$work/restart"
ip addr add 192.0.2.9/32 dev lo
start upstream $helper serve 192.0.2.9 203.0.113.9 2001:db8::9
soon says upstream serving
echo 'nameserver 192.0.2.9' >"$work/upstreams"
echo 'nameserver 127.0.0.1' >/etc/resolv.conf
answers() { [ "$($helper ask 127.0.0.1 "$1" "$2")" = "$3" ]; }
test_dnsmasq() {
	"$work/restart"
	check dnsmasq_answers_before soon answers a.example A 203.0.113.9
	start_driver dnsmasq tun-test "$work/dnsmasq.d" "$work/restart"
	tell driver 'activate - 100.100.111.1'
	soon says driver '^active$'
	check dnsmasq_asks_the_sentinel soon answers b.example A 100.96.0.9
	check dnsmasq_serves_programs resolves_by 100.96.0.9
	check dnsmasq_never_asks_another answers c.example AAAA fd00:2021:1111:8000::9
	check dnsmasq_ends_well quit_driver
	check dnsmasq_restored soon answers d.example A 203.0.113.9
	start_driver dnsmasq tun-test "$work/dnsmasq.d" "$work/restart"
	tell driver 'activate - 100.100.111.1'
	soon says driver '^active$'
	stop driver KILL
	check dnsmasq_after_kill_still_asks_the_sentinel soon answers e.example A 100.96.0.9
	start_driver dnsmasq tun-test "$work/dnsmasq.d" "$work/restart"
	check dnsmasq_next_start_restores soon answers f.example A 203.0.113.9
	check dnsmasq_leaves_nothing [ -z "$(ls -A "$work/dnsmasq.d")" ]
	quit_driver

	# What platform/dns_control.h says of OpenWrt's default.
	export DNSMASQ_MORE=--stop-dns-rebind
	start_driver dnsmasq tun-test "$work/dnsmasq.d" "$work/restart"
	tell driver 'activate - 100.100.111.1'
	soon says driver '^active$'
	check dnsmasq_with_stop_dns_rebind_passes_ipv4 soon answers g.example A 100.96.0.9
	check dnsmasq_with_stop_dns_rebind_refuses_ipv6 eval '! answers g.example AAAA fd00:2021:1111:8000::9'
	quit_driver
	kill "$(cat "$work/dnsmasq.pid")"
}
test_dnsmasq

finish
