#!/bin/bash
# The longest that the portal's loop works in one go for each kind of change, in its heaviest form, with 10,000 people and clients, all connected.
# Prints microseconds of work, by /metrics; what a shell asks for is run by the command line, through the socket of the portal that serves.
#   EMBERBOX=path BENCH_BIN=folder of portal_fill and portal_load   CLIENTS=10000 RESOURCES=1000 CONNECTED=10000 ONLY=regular expression of names
# packages: curl:curl
set -u
cd "$(dirname "$0")/../.." || exit 1
EMBERBOX=${EMBERBOX:-$(make -s print-binary)}
BENCH_BIN=${BENCH_BIN:?folder of portal_fill and portal_load; make bench BENCH=verbs sets it}
CLIENTS=${CLIENTS:-10000} RESOURCES=${RESOURCES:-1000} CONNECTED=${CONNECTED:-$CLIENTS} ONLY=${ONLY:-.}
PORT=${PORT:-13001}

command -v curl >/dev/null || { echo "skip verbs: needs curl"; exit 0; }
[ "$(id -u)" = 0 ] || { echo "skip verbs: needs root"; exit 0; }
"$EMBERBOX" portal --help >/dev/null 2>&1 || { echo "skip verbs: not in this build"; exit 0; }
if [ -z "${IN_NAMESPACE:-}" ]; then
	IN_NAMESPACE=1 EMBERBOX=$EMBERBOX exec unshare -n --kill-child "$0" "$@"
fi
ip link set lo up
work=$(mktemp -d) || exit 1
pid=
trap '[ -n "$pid" ] && kill "$pid"; rm -rf "$work"' EXIT

"$BENCH_BIN/portal_fill" "$work/full" "$CLIENTS" "$RESOURCES" hubs >"$work/peers" || exit 1
"$EMBERBOX" portal serve --dir "$work/full" --listen 127.0.0.1:$PORT --socket-capacity 1000000 --socket-refill-rate 1000000 --web-refill-rate 0 \
	>"$work/log" 2>&1 &
pid=$!
for _ in $(seq 300); do
	curl -so /dev/null "http://127.0.0.1:$PORT/readyz" && break
	sleep 0.1
done
portal() { "$EMBERBOX" portal "$@" --dir "$work/full"; }
mkfifo "$work/hold"
"$BENCH_BIN/portal_load" hold $PORT "$work/peers" "$CONNECTED" <"$work/hold" >"$work/held" &
exec 8>"$work/hold"
for _ in $(seq 1200); do
	grep -q connected "$work/held" && break
	sleep 0.1
done
grep -q connected "$work/held" || { echo "verbs: the clients did not connect"; exit 1; }

work_of() { curl -s "http://127.0.0.1:$PORT/metrics" | awk '$1 == "emberbox_portal_loop_callback_longest_work_seconds" { printf "%d\n", $2 * 1000000 }'; }
failed=0
# heavy NAME COMMAND...: settles, runs, and waits for what follows
heavy() {
	local name=$1 most now
	shift
	[[ $name =~ $ONLY ]] || return
	work_of >/dev/null
	"$@" >"$work/out" 2>&1 || { echo "$name: failed: $(head -c 300 "$work/out")"; failed=1; return; }
	most=$(work_of)
	for _ in 1 2 3 4; do # telling ten thousand takes a while
		sleep 0.5
		now=$(work_of)
		[ "${now:-0}" -gt "$most" ] && most=$now
	done
	printf '%-52s %6d us of work in one go%s\n' "$name" "$most" "$([ "$most" -gt 5000 ] && echo '  OVER 5 ms')"
	[ "$most" -le 5000 ] || failed=1
}
api() { # api METHOD PATH JSON
	local status
	printf '%s' "$3" >"$work/body"
	status=$(curl -s -o "$work/answer" -w '%{http_code}' -X "$1" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \
		--data-binary "@$work/body" "http://127.0.0.1:$PORT$2")
	case $status in 2*) ;; *) echo "$status $(head -c 300 "$work/answer")"; return 1 ;; esac
}
id_of() { portal "$1" show "$2" --json | sed 's/.*"id":"\([^"]*\)".*/\1/'; } # NOUN NAME
ids() { portal "$1" list --json | grep -o '"id":"[^"]*"' | cut -d'"' -f4; }
first() { head -n "$1"; }
quoted() { sed "s/.*/{\"$1\":\"&\"}/" | paste -sd,; }

token=$(sed -n 's/^api //p' "$work/peers")
portal account update --client-to-client on >/dev/null
portal group add --name Team >/dev/null
portal group add --name Twenty >/dev/null
portal pool add --name Printers >/dev/null
portal site add --name Bonn >/dev/null
team=$(id_of group Team) printers=$(id_of resource Printers)
ids actor >"$work/actors"
ids client >"$work/clients"
most=$(((250 * 1024) / 52))

heavy "nothing" true
heavy "actor list" portal actor list --json
heavy "client list" portal client list --json
heavy "resource list, table" portal resource list
heavy "policy list" portal policy list --json
heavy "member list of all" portal member list --group "All of them 0" --json
heavy "status show" portal status show
heavy "group set-members, $most by the API" api PUT "/groups/$team/memberships" "{\"memberships\":[$(first "$most" <"$work/actors" | quoted actor_id)]}"
heavy "group set-members, the same again" api PUT "/groups/$team/memberships" "{\"memberships\":[$(first "$most" <"$work/actors" | quoted actor_id)]}"
heavy "group patch, one more" api PATCH "/groups/$team/memberships" "{\"memberships\":{\"add\":[\"$(tail -1 "$work/actors")\"]}}"
heavy "group set-members, none by the API" api PUT "/groups/$team/memberships" '{"memberships":[]}'
heavy "group set-members, 1500 by the command line" portal group set-members Twenty --member "$(first 1500 <"$work/actors" | paste -sd' ')"
heavy "group set-members, 20 by the command line" portal group set-members Twenty --member "$(first 20 <"$work/actors" | paste -sd' ')"
heavy "member add" portal member add --group Team --actor person-9977@bench.example
heavy "member delete" portal member delete --group Team --actor person-9977@bench.example
heavy "pool set-members, 4096 by the API" api PUT "/resources/$printers/pool_members" "{\"pool_members\":[$(first 4096 <"$work/clients" | quoted device_id)]}"
heavy "pool set-members, the same again" api PUT "/resources/$printers/pool_members" "{\"pool_members\":[$(first 4096 <"$work/clients" | quoted device_id)]}"
heavy "pool leave" portal pool leave Printers --client "$(head -1 "$work/clients")"
heavy "pool join" portal pool join Printers --client "$(head -1 "$work/clients")"
heavy "policy add, a pool of 4096 for all" portal policy add --group "All of them 0" --resource Printers
heavy "pool set-members, none by the API" api PUT "/resources/$printers/pool_members" '{"pool_members":[]}'
heavy "policy add, for all" portal policy add --group "All of them 0" --resource "application 1"
heavy "policy add, for Everyone" portal policy add --group Everyone --resource "application 2"
heavy "resource add" portal resource add --site Berlin --address new.bench.example --name new
heavy "resource update, name" portal resource update "application 2" --name "application two"
heavy "resource update, name, of 1000 policies" portal resource update Hub --name "Hub of all"
heavy "resource update, address" portal resource update "application two" --address two.bench.example
heavy "resource update, site" portal resource update "application two" --site Bonn
heavy "site update, name, of 2000 gateways" portal site update Berlin --name Hamburg
heavy "group update, name, of 1000 policies" portal group update Hub --name "Hub of groups"
heavy "group update, name, of all" portal group update "All of them 0" --name "Everybody"
heavy "token add" portal token add --actor Robot
heavy "actor update, name, of 2000 clients" portal actor update Robot --name "Robot of all"
heavy "actor add" portal actor add --email new@bench.example
heavy "account update, dns" portal account update --dns custom:9.9.9.9
heavy "account update, slug" portal account update --slug bench2
heavy "account update, client-to-client" portal account update --client-to-client off
heavy "account add" portal account add --name Second
heavy "client update" portal client update "client 7" --name "client seven" --account bench2
heavy "audit list" portal audit list --account bench2 --limit 1000
heavy "audit export" portal audit export --account bench2
heavy "export" portal export --account bench2
exec 8>&-
exit $failed
