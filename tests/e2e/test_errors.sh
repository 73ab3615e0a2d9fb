#!/bin/bash
# What users get wrong first: each says what failed, with which input, and what to do; the exit status is the specs'.
# needs: root
# packages: ip:iproute2 nft:nftables curl:curl python3:python3 setpriv:util-linux unshare:util-linux dig:bind9-dnsutils
# lasts: 35
. "$(dirname "$0")/lib.sh"

# says TEST STATUS PATTERN CMD…: ends within 40 s with that status and says something that fits
says() {
	local test=$1 status=$2 pattern=$3 rc
	shift 3
	timeout 40 "$@" >"$E2E/said" 2>&1 </dev/null
	rc=$?
	if [ $rc -ne "$status" ]; then
		not_ok "$test" "status $rc instead of $status: $(tail -n 3 "$E2E/said")"
	elif ! grep -qiE -- "$pattern" "$E2E/said"; then
		not_ok "$test" "said: $(tail -n 3 "$E2E/said")"
	else
		ok "$test"
	fi
}
E=$EMBERBOX
at() { echo "ip netns exec $P-$1 ${HOSTED[$1]:-} env"; }

must internet none none
must start_portal
must start_web

# command line
says unknown_applet 2 'nonsense' "$E" nonsense
says unknown_option 2 'no-such' $(at client) "$E" client --no-such
says bad_duration 2 'max-partition-time' $(at client) "$E" client --max-partition-time soon
says bad_url 2 'api-url' $(at client) "$E" gateway --api-url 'not a url' x
says bad_address 2 'public-ip4-addr' "$E" relay --public-ip4-addr 300.1.1.1
says bad_log_filter 2 'RUST_LOG' $(at client) RUST_LOG=info,x=loud FIREZONE_TOKEN=x "$E" client --api-url "$API_URL"
says help_is_no_error 0 'Examples' "$E" client --help
patience() { "$E" gateway --help | tr -s ' \n' ' ' | grep -qF 'for so long [default: 24h]'; }
check spec40_62_patience_with_the_portal_is_a_day_by_default patience
says spec40_2_version 0 'firezone-gateway 1\.5\.2' "$E" gateway --version

# tokens
says spec30_73_no_token 1 'FIREZONE_TOKEN' $(at client) "$E" client --token-path "$E2E/none" --api-url "$API_URL"
echo secret >"$E2E/open-token"
chmod 644 "$E2E/open-token"
says spec30_74_readable_token_file 1 'chmod 600' $(at client) "$E" client --token-path "$E2E/open-token" --api-url "$API_URL"
says spec10_27_spec10_32_wrong_token_client 1 'token' $(at client) FIREZONE_TOKEN=.wrong "$E" client --api-url "$API_URL"
says wrong_token_gateway 1 'token' $(at gateway) FIREZONE_TOKEN=.wrong "$E" gateway --api-url "$API_URL"
says spec10_59_wrong_token_relay 1 'token' $(at relay) FIREZONE_TOKEN=.wrong "$E" relay --public-ip4-addr 203.0.113.2 --api-url "$API_URL"
says no_token_gateway 1 'FIREZONE_TOKEN' $(at gateway) "$E" gateway --api-url "$API_URL"
says check_passes 0 'Check passed' $(at client) FIREZONE_TOKEN=x "$E" client --check --api-url "$API_URL"

# privileges and devices
says spec40_1_gateway_needs_net_admin 1 'CAP_NET_ADMIN' $(at gateway) setpriv --reuid 65534 --clear-groups \
	env FIREZONE_TOKEN=x "$E" gateway --api-url "$API_URL"
says client_needs_net_admin 1 'CAP_NET_ADMIN' $(at client) setpriv --reuid 65534 --clear-groups \
	env FIREZONE_TOKEN=x FIREZONE_ID=x "$E" client --api-url "$API_URL"
ip -n "$P-client" tuntap add tun-busy mode tun
ip netns exec "$P-client" python3 -c "
import fcntl, struct, time
f = open('/dev/net/tun', 'r+b', buffering=0)
fcntl.ioctl(f, 0x400454ca, struct.pack('16sH', b'tun-busy', 0x1001))
open('$E2E/held', 'w')
time.sleep(100)" &
holder=$!
must wait_for 150 test -e "$E2E/held"
says device_in_use 1 'tun-name' $(at client) FIREZONE_TOKEN=x FIREZONE_ID=x "$E" client --tun-name tun-busy --api-url "$API_URL"
kill $holder 2>/dev/null
wait $holder 2>/dev/null

# without /dev/net/tun: the node cannot be made, cannot be opened, or is only missing (spec 40 §2.1)
dev_net() { # dev_net PLACE MOUNT_OPTIONS CMD…: with an empty /dev/net of its own
	local place=$1 options=$2
	shift 2
	ip netns exec "$P-$place" unshare -m --propagation private sh -c \
		'mount -t tmpfs -o "$0" none /dev/net && exec env FIREZONE_TOKEN=x FIREZONE_ID=x "$@"' "$options" "$@"
}
export -f dev_net
export P
says no_tun_node_gateway 1 'TUN device.*/dev/net/tun is missing' bash -c 'dev_net "$@"' . gateway ro "$E" gateway --api-url "$API_URL"
says no_tun_node_client 1 'TUN device.*/dev/net/tun is missing' bash -c 'dev_net "$@"' . client ro "$E" client --api-url "$API_URL"
says no_tun_allowed_gateway 1 'TUN device.*let it open /dev/net/tun' bash -c 'dev_net "$@"' . gateway nodev "$E" gateway --api-url "$API_URL"
says no_tun_allowed_client 1 'TUN device.*let it open /dev/net/tun' bash -c 'dev_net "$@"' . client nodev "$E" client --api-url "$API_URL"
start maker gateway unshare -m --propagation private sh -c 'mount -t tmpfs -o mode=755 none /dev/net && exec "$@"' made \
	env FIREZONE_TOKEN=x FIREZONE_ID=x "$E" gateway --api-url ws://198.51.100.2:9
is_made() { grep -q ' /dev/net ' "/proc/${PIDS[maker]}/mounts" && [ "$(stat -c '%F %t:%T' "/proc/${PIDS[maker]}/root/dev/net/tun" 2>/dev/null)" = "character special file a:c8" ]; }
check missing_node_is_made wait_for 150 is_made
check spec40_09_device_appears wait_for 150 ip -n "$P-gateway" link show tun-firezone
stop maker

# ports
admin_other() { "$E" portal init --dir "$E2E/other"; }
must admin_other
says portal_port_is_taken 1 'in use|13001' $(at portal) "$E" portal serve --dir "$E2E/other" --listen 198.51.100.2:13001
start_relay relay
must has_joined relay
says relay_port_in_use 1 '3478' $(at relay) FIREZONE_TOKEN="$RELAY_TOKEN" "$E" relay --public-ip4-addr 203.0.113.2 --api-url "$API_URL"

# portal out of reach: gives up 15 s after the first failure
begin=$(now_ms)
says spec30_78_first_connection_has_15_seconds 1 'portal' $(at client) FIREZONE_TOKEN=x FIREZONE_ID=x "$E" client --api-url ws://198.51.100.2:9
took=$(($(now_ms) - begin))
check spec10_29_gives_up_after_15_seconds test $took -ge 13000 -a $took -le 20000

# a portal state that is none
mkdir -p "$E2E/garbage"
head -c 5000 /dev/urandom >"$E2E/garbage/portal.db"
says garbage_database 1 'garbage' "$E" portal serve --dir "$E2E/garbage" --listen 127.0.0.1:13002
says init_of_garbage 1 'garbage/portal.db: file is not a database; bring a backup back' "$E" portal init --dir "$E2E/garbage"
check init_of_garbage_leaves_nothing test ! -e "$E2E/garbage/secrets"
says init_twice 1 'other holds a portal already: start it with .emberbox portal serve --dir .*other' "$E" portal init --dir "$E2E/other"
says init_wrong_url 2 "^emberbox portal init: --web-url: 'nonsense' is not" "$E" portal init --dir "$E2E/third" --web-url nonsense
says backup_of_nothing 1 'there is no portal in .*nowhere' "$E" portal backup --dir "$E2E/nowhere" "$E2E/copy"
touch "$E2E/there"
says backup_over_something 1 'there is there already: give another name' "$E" portal backup --dir "$E2E/other" "$E2E/there"
says api_client_is_named_so 1 "there is no api-client 'x'" "$E" portal api-client show x --dir "$E2E/portal"
says missing_state 1 'portal init' "$E" portal serve --dir "$E2E/nowhere" --listen 127.0.0.1:13002

# names: the client takes over no file that it could not put back, and says what to choose instead
must own_etc client
must own_etc gateway
resolv_conf=$E2E/etc-client/resolv.conf
client() { # client DNS-CONTROL: the words of a client that ends once its tunnel is up
	echo "$(at client) FIREZONE_TOKEN=$CLIENT_TOKEN FIREZONE_ID=x $E client --exit --dns-control $1 --api-url $API_URL"
}
says unknown_dns_control 2 'dns-control.*nonsense' $(client nonsense)
says no_resolv_conf 1 'resolv.conf does not exist.*--dns-control systemd-resolved or disabled' $(client etc-resolv-conf)
mkdir "$resolv_conf"
says resolv_conf_is_no_file 1 'resolv.conf is not a regular file' $(client etc-resolv-conf)
rmdir "$resolv_conf"
ln -s /run/systemd/resolve/stub-resolv.conf "$resolv_conf"
says spec30_70_resolv_conf_is_a_symlink 1 'is a symbolic link to .*--dns-control systemd-resolved or disabled' $(client etc-resolv-conf)
check spec30_70_symlink_is_left test -L "$resolv_conf"
rm "$resolv_conf"
printf '\377\376 no resolv.conf\n' | tee "$resolv_conf" >"$E2E/unreadable"
says resolv_conf_without_resolvers 0 'no resolvers known' $(client etc-resolv-conf)
check resolv_conf_without_resolvers_is_left cmp "$resolv_conf" "$E2E/unreadable"
echo 'nameserver 198.51.100.1' | tee "$resolv_conf" >"$E2E/plain"
cat >"$E2E/read_only" <<-'END'
	#!/bin/sh
	mount --bind /etc/resolv.conf /etc/resolv.conf && mount -o remount,bind,ro /etc/resolv.conf && exec "$@"
END
chmod +x "$E2E/read_only"
at_read_only=$(client etc-resolv-conf)
says resolv_conf_is_read_only 1 'cannot write /etc/resolv.conf: Read-only' ${at_read_only/ env / $E2E/read_only env }
check resolv_conf_that_is_read_only_is_left cmp "$resolv_conf" "$E2E/plain"
says spec30_69_without_resolvectl 1 'cannot start resolvectl.*--dns-control etc-resolv-conf or disabled' $(client systemd-resolved)

# names: the gateway's host has no resolver, or one that is silent: told at once and answered
intranet() {
	admin resource add --site Berlin --address '*.example.internal' --name intranet &&
		admin policy add --group Everyone --resource intranet
}
must intranet >"$E2E/intranet-setup.log"
text() { in_ns client dig +time=12 +tries=1 @100.100.111.1 text.example.internal TXT; }
is_refused() { text | grep -q 'status: SERVFAIL'; }
fails_fast() { # 7: no connection; 28 would be a timeout
	in_ns client curl -4 -sS --max-time 15 --resolve "app.example.internal:80:$1" http://app.example.internal/small
	[ $? -eq 7 ]
}
address() { in_ns client dig +short @100.100.111.1 app.example.internal | head -n 1; }
rm -f "$E2E/etc-gateway/resolv.conf"
start_gateway gateway
must has_joined gateway
start_client
must wait_log client 'Tunnel ready' 30
check no_resolver_at_the_gateway_is_told wait_log gateway 'this host has no resolver'
check no_resolver_at_the_gateway_is_no_silence fails_fast "$(address)"
check no_resolver_at_the_gateway_is_servfail is_refused
in_ns web nft 'table ip silent { chain input { type filter hook input priority 0; udp dport 53 drop; tcp dport 53 drop; }; }'
echo 'nameserver 10.9.0.80' >"$E2E/etc-gateway/resolv.conf"
check resolvers_of_the_site_are_read_again wait_log gateway 'resolvers of this host servers=1' 15
begin=$(now_ms)
check silent_resolver_is_servfail is_refused
took=$(($(now_ms) - begin))
check spec40_61_silent_resolver_is_servfail_within_5_seconds test $took -ge 1000 -a $took -lt 6000
finish
