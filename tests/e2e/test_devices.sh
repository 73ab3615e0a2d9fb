#!/bin/bash
# Client to client: two clients behind NATs of their own, a pool that holds one of them; asked for, connected, revoked, left.
# needs: root
# packages: ip:iproute2 nft:nftables curl:curl python3:python3 ping:iputils-ping
. "$(dirname "$0")/lib.sh"

must internet cone symmetric
must start_portal
start_relay relay
must has_joined relay
admin actor add --type service-account --name print >>"$E2E/portal-setup.log" 2>&1
PRINTER_TOKEN=$(new_token --actor print)
start_client
# The other client lives where a gateway would, behind the other NAT.
start printer gateway2 env FIREZONE_TOKEN="$PRINTER_TOKEN" FIREZONE_NAME=printer FIREZONE_ID="$P-printer" RUST_LOG=debug \
	"$EMBERBOX" client --dns-control disabled --api-url "$API_URL"
must wait_for 150 ip -n "$P-client" addr show dev tun-firezone up
must wait_for 150 ip -n "$P-gateway2" addr show dev tun-firezone up
address_of() { # address_of PLACE
	ip -n "$P-$1" -4 -o addr show dev tun-firezone | awk '{ sub(/\/.*/, "", $4); print $4 }'
}
must wait_for 100 bash -c "[ -n \"\$(ip -n $P-client -4 -o addr show dev tun-firezone)\" ] && [ -n \"\$(ip -n $P-gateway2 -4 -o addr show dev tun-firezone)\" ]"
PRINTER=$(address_of gateway2)
LAPTOP=$(address_of client)
pings() { in_ns "$1" ping -c 1 -W 10 "$2"; }
pings_soon() { wait_for 50 in_ns "$1" ping -c 1 -W 1 "$2"; }
silent() { ! in_ns client ping -c 2 -W 1 "$1"; }

check off_by_default silent "$PRINTER"
check refusal_is_told wait_log client 'access to a client was refused.*reason=disabled'
admin account update --client-to-client on >>"$E2E/portal-setup.log" 2>&1
check not_in_a_pool silent "$PRINTER"
{
	admin pool add --name Printers && admin pool join Printers --client printer && admin policy add --group Everyone --resource Printers
} >>"$E2E/portal-setup.log" 2>&1 || not_ok pool_made "$(cat "$E2E/portal-setup.log")"
check connected pings_soon client "$PRINTER"
check answers_and_asks_back pings gateway2 "$LAPTOP"
check who_asked_is_controlling wait_log client 'access between clients is authorized.*is_controlling=true'
check who_was_asked_is_controlled wait_log printer 'access between clients is authorized.*is_controlling=false'
v6=$(ip -n "$P-gateway2" -6 -o addr show dev tun-firezone scope global | awk '{ sub(/\/.*/, "", $4); print $4; exit }')
check ipv6_too pings client "$v6"

mkdir -p "$E2E/www"
head -c 3M /dev/urandom >"$E2E/www/page"
start web gateway2 python3 -m http.server -d "$E2E/www" 8000
must wait_for 150 in_ns gateway2 curl -fsS -o /dev/null --max-time 5 "http://$PRINTER:8000/"
check page_is_fetched fetch "http://$PRINTER:8000/page"
check page_is_whole cmp "$E2E/www/page" "$E2E/fetched"

# Revoked while connected: both ends close.
admin pool leave Printers --client printer >>"$E2E/portal-setup.log" 2>&1
check revoked_at_once wait_log printer 'access to a client was refused.*reason=forbidden' 10
check revoked_is_silent silent "$PRINTER"
check revoked_the_other_way_too bash -c "! ip netns exec $P-gateway2 ping -c 1 -W 1 $LAPTOP"

# Granted again; then the other one leaves with a goodbye and comes back.
admin pool join Printers --client printer >>"$E2E/portal-setup.log" 2>&1
check granted_again pings_soon client "$PRINTER"
stop printer
check goodbye_is_heard wait_log client 'peer said goodbye' 10
check nobody_there silent "$PRINTER"
check offline_is_told wait_log client 'access to a client was refused.*reason=offline' 10
start printer gateway2 env FIREZONE_TOKEN="$PRINTER_TOKEN" FIREZONE_NAME=printer FIREZONE_ID="$P-printer" RUST_LOG=debug \
	"$EMBERBOX" client --dns-control disabled --api-url "$API_URL"
must wait_for 150 ip -n "$P-gateway2" addr show dev tun-firezone up
check back_again pings_soon client "$PRINTER"
finish
