#!/bin/bash
# Directory sync of the real portal against Google's, Microsoft's and Okta's interfaces as their documents describe them (spec 60 §8; item 63).
#
# packages: openssl:openssl curl:curl nodejs:nodejs /usr/sbin/ip:iproute2
# timeout: 240
# lasts: 90
#
# Runs in a network namespace of its own, because Okta's domain has no port.
set -u
cd "$(dirname "$0")/../.."
if [ -z "${IN_NAMESPACE:-}" ]; then
	[ "$(id -u)" = 0 ] || { echo "skip sync_servers: needs root"; exit 0; }
	IN_NAMESPACE=1 exec unshare -n --kill-child "$0"
fi
PATH=$PATH:/usr/sbin:/sbin
ip link set lo up
ember=${EMBERBOX:-$PWD/build/static/all/emberbox}
work=${SCRATCH:-$(mktemp -d)}
dir=$work/portal
pids=

cleanup() {
	for p in $pids; do kill "$p" 2>/dev/null; done
	[ -n "${SCRATCH:-}" ] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fail() { echo "not ok sync_setup: $1"; exit 1; }

start() { # start LOG COMMAND...
	log=$1
	shift
	"$@" >"$log" 2>&1 </dev/null &
	pids="$pids $!"
}

wait_for() { # wait_for LOG PATTERN
	for _ in $(seq 400); do
		grep -q -- "$2" "$1" 2>/dev/null && return 0
		sleep 0.05
	done
	return 1
}

command -v node >/dev/null || { echo "skip sync_servers: node cannot be had"; exit 0; }

# --- keys: a service account of Google's, an application of Okta's -----------------------------------------------------------------
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$work/google.pem" 2>/dev/null || fail openssl
openssl pkey -in "$work/google.pem" -pubout -out "$work/google.pub" || fail openssl
node -e '
const { generateKeyPairSync } = require("crypto"), fs = require("fs"), work = process.argv[1];
fs.writeFileSync(`${work}/google.json`, JSON.stringify({ type: "service_account", client_email: "robot@project.iam.example", private_key: fs.readFileSync(`${work}/google.pem`, "utf8") }));
const k = generateKeyPairSync("rsa", { modulusLength: 2048 });
fs.writeFileSync(`${work}/okta.json`, JSON.stringify(k.privateKey.export({ format: "jwk" })));
fs.writeFileSync(`${work}/okta.pub`, JSON.stringify(k.publicKey.export({ format: "jwk" })));
' "$work" || fail "keys"

start "$work/server.log" node tests/interop/directory_server.mjs 80 "$work/google.pub" "$work/okta.pub"
wait_for "$work/server.log" '^listening' || fail "the server does not start: $(cat "$work/server.log")"

portal() { "$ember" portal "$@" --dir "$dir"; }
portal init >/dev/null || fail "portal init"
portal account add --name Acme --slug acme --admin-email user1@acme.example >/dev/null || fail "account add"
export ENTRA_URL=http://127.0.0.1 GRAPH_URL=http://127.0.0.1 GOOGLE_API_URL=http://127.0.0.1 GOOGLE_TOKEN_URL=http://127.0.0.1/token OKTA_SCHEME=http
export ENTRA_SYNC_CLIENT_ID=entra-app ENTRA_SYNC_CLIENT_SECRET='s3&c=r+t'
GOOGLE_SERVICE_ACCOUNT_KEY=$(cat "$work/google.json")
export GOOGLE_SERVICE_ACCOUNT_KEY
start "$work/portal.log" "$ember" portal serve --dir "$dir" --listen 127.0.0.1:13001 --allow-internal-idps
wait_for "$work/portal.log" 'portal is ready' || fail "the portal does not start: $(cat "$work/portal.log")"

mode() { curl -sS -o /dev/null "http://127.0.0.1/__mode/$1"; }
show() { portal directory show "$1" --json 2>/dev/null | sed -n "s/.*\"$2\": *\"\{0,1\}\([^\",}]*\).*/\1/p" | head -1 | sed 's/^null$//'; }
count() { portal "$@" --json 2>/dev/null | grep -o '"inserted_at"' | wc -l; }

# Until the directory's row says that something came of it.
sync() { # sync NAME
	before="$(show "$1" synced_at)$(show "$1" error_message)$(show "$1" disabled_at)"
	lines=$(grep -c 'directory is synced\|could not be synced' "$work/portal.log")
	portal directory sync "$1" >"$work/sync.out" 2>&1 || { cat "$work/sync.out"; return 1; }
	for _ in $(seq 1200); do
		[ "$(grep -c 'directory is synced\|could not be synced' "$work/portal.log")" -gt "$lines" ] && { sleep 0.1; return 0; }
		sleep 0.05
	done
	return 1
}

check() { # check NAME GOT WANTED
	if [ "$2" = "$3" ]; then
		echo "ok $1"
	else
		echo "not ok $1: got '$2', wanted '$3'"
		tail -n 4 "$work/portal.log" "$work/server.log" | sed 's/^/    /'
	fi
}
like() { # like NAME TEXT PATTERN
	if echo "$2" | grep -qE -- "$3"; then echo "ok $1"; else check "$1" "$2" "$3"; fi
}

one_directory() { # one_directory NAME PEOPLE MEMBERSHIPS LEFT LEFT_MEMBERSHIPS OPTIONS...
	name=$1 people=$2 members=$3 left=$4 left_members=$5
	shift 5
	mode ok
	portal directory add --name "$name" --verified on "$@" >"$work/add.out" 2>&1 || { echo "not ok sync_${name}_added: $(cat "$work/add.out")"; return; }
	portal directory enable "$name" >/dev/null 2>&1
	sync "$name" || echo "not ok sync_${name}_runs: $(cat "$work/sync.out")"
	check "sync_${name}_people" "$(count identity list)" "$people"
	check "sync_${name}_groups" "$(count group list)" 4 # with Everyone
	check "sync_${name}_memberships" "$(grep 'directory is synced' "$work/portal.log" | tail -1 | grep -o 'memberships_new=[0-9]*')" "memberships_new=$members"
	mode throttle
	sync "$name"
	check "sync_${name}_waits_when_told" "$(show "$name" error_message)" ""
	mode broken
	sync "$name"
	like "spec60_63_${name}_partial" "$(show "$name" error_message)" 'status 50[03]'
	check "spec60_63_${name}_partial_deletes_nothing" "$(count identity list)" "$people"
	check "sync_${name}_is_still_on" "$(show "$name" disabled_reason)" ""
	mode fewer
	sync "$name"
	check "sync_${name}_recovers" "$(show "$name" error_message)" ""
	check "sync_${name}_people_left" "$(count identity list)" "$left"
	check "sync_${name}_groups_left" "$(count group list)" 3
	check "sync_${name}_memberships_gone" "$(grep 'directory is synced' "$work/portal.log" | tail -1 | grep -o 'memberships_gone=[0-9]*')" "memberships_gone=$left_members"
	mode empty
	sync "$name"
	like "spec60_63_${name}_nothing_left" "$(show "$name" error_message)" '^All [0-9]* (people|groups)'
	check "spec60_63_${name}_deletes_nothing" "$(count identity list)" "$left"
	check "sync_${name}_is_off" "$(show "$name" disabled_reason)" "Sync error"
	mode noscope
	portal directory update "$name" --verified on >/dev/null 2>&1
	portal directory enable "$name" >/dev/null 2>&1
	sync "$name"
	like "sync_${name}_lacks_rights" "$(show "$name" error_message)" '403|scope'
	check "sync_${name}_is_off_again" "$(show "$name" disabled_reason)" "Sync error"
	portal directory delete "$name" >/dev/null 2>&1 || portal directory delete "$name" --yes >/dev/null 2>&1
	check "sync_${name}_deleted" "$(count identity list) $(count actor list)" "0 1"
}

# dev has u0..u6 and, nested, u7: 8; ops the same: 8; sales 1. Okta leaves out u6, who is suspended.
one_directory google 8 17 7 2 --type google --domain acme.example --impersonation-email admin@acme.example
one_directory entra 8 17 7 2 --type entra --tenant-id 0b8c1d2e-0000-4000-8000-000000000001
one_directory okta 7 15 6 2 --type okta --okta-domain 127.0.0.1 --client-id okta-client --kid k1 --private-key-jwk "$(cat "$work/okta.json")"
if grep -q 'bad request' "$work/server.log"; then
	echo "not ok sync_requests_are_as_documented"
	grep 'bad request' "$work/server.log" | sort | uniq -c | head -5
else
	echo "ok sync_requests_are_as_documented"
fi
exit 0
