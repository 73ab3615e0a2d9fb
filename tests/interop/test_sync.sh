#!/bin/bash
# Directory sync of the real portal against Google's, Microsoft's and Okta's interfaces as their documents describe them (spec 60 §8; item 63).
#
# packages: openssl:openssl curl:curl nodejs:nodejs /usr/sbin/ip:iproute2
# timeout: 900
# lasts: 90
#
# Runs in a network namespace of its own, because Okta's domain has no port.
. "$(dirname "$0")/lib.sh"
own_network

command -v node >/dev/null || { skip sync_servers "node cannot be had" && finish; }

# --- keys: a service account of Google's, an application of Okta's -----------------------------------------------------------------
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$work/google.pem" 2>/dev/null || fail sync_openssl
openssl pkey -in "$work/google.pem" -pubout -out "$work/google.pub" || fail sync_openssl
node -e '
const { generateKeyPairSync } = require("crypto"), fs = require("fs"), work = process.argv[1];
fs.writeFileSync(`${work}/google.json`, JSON.stringify({ type: "service_account", client_email: "robot@project.iam.example", private_key: fs.readFileSync(`${work}/google.pem`, "utf8") }));
const k = generateKeyPairSync("rsa", { modulusLength: 2048 });
fs.writeFileSync(`${work}/okta.json`, JSON.stringify(k.privateKey.export({ format: "jwk" })));
fs.writeFileSync(`${work}/okta.pub`, JSON.stringify(k.publicKey.export({ format: "jwk" })));
' "$work" || fail sync_keys

launch server node tests/interop/directory_server.mjs 80 "$work/google.pub" "$work/okta.pub"
must wait_log server '^listening'

{ portal init && portal account add --name Acme --slug acme --admin-email user1@acme.example; } >"$work/setup" 2>&1 || fail sync_setup "$work/setup"
export ENTRA_URL=http://127.0.0.1 GRAPH_URL=http://127.0.0.1 GOOGLE_API_URL=http://127.0.0.1 GOOGLE_TOKEN_URL=http://127.0.0.1/token OKTA_SCHEME=http
export ENTRA_SYNC_CLIENT_ID=entra-app ENTRA_SYNC_CLIENT_SECRET='s3&c=r+t'
GOOGLE_SERVICE_ACCOUNT_KEY=$(cat "$work/google.json")
export GOOGLE_SERVICE_ACCOUNT_KEY
port=13001
must serve_portal --allow-internal-idps

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

equals() { # equals TEST GOT WANTED
	if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "got '$2', wanted '$3'"; fi
}
like() { # like TEST TEXT PATTERN
	if echo "$2" | grep -qE -- "$3"; then ok "$1"; else not_ok "$1" "got '$2', wanted '$3'"; fi
}

one_directory() { # one_directory NAME PEOPLE MEMBERSHIPS LEFT LEFT_MEMBERSHIPS OPTIONS...
	name=$1 people=$2 members=$3 left=$4 left_members=$5
	shift 5
	mode ok
	portal directory add --name "$name" --verified on "$@" >"$work/add.out" 2>&1 || { not_ok "sync_${name}_added" "$(cat "$work/add.out")"; return; }
	portal directory enable "$name" >/dev/null 2>&1
	sync "$name" || not_ok "sync_${name}_runs" "$(cat "$work/sync.out")"
	equals "sync_${name}_people" "$(count identity list)" "$people"
	equals "sync_${name}_groups" "$(count group list)" 4 # with Everyone
	equals "sync_${name}_memberships" "$(grep 'directory is synced' "$work/portal.log" | tail -1 | grep -o 'memberships_new=[0-9]*')" "memberships_new=$members"
	mode throttle
	sync "$name"
	equals "sync_${name}_waits_when_told" "$(show "$name" error_message)" ""
	mode broken
	sync "$name"
	like "spec60_63_${name}_partial" "$(show "$name" error_message)" 'status 50[03]'
	equals "spec60_63_${name}_partial_deletes_nothing" "$(count identity list)" "$people"
	equals "sync_${name}_is_still_on" "$(show "$name" disabled_reason)" ""
	mode fewer
	sync "$name"
	equals "sync_${name}_recovers" "$(show "$name" error_message)" ""
	equals "sync_${name}_people_left" "$(count identity list)" "$left"
	equals "sync_${name}_groups_left" "$(count group list)" 3
	equals "sync_${name}_memberships_gone" "$(grep 'directory is synced' "$work/portal.log" | tail -1 | grep -o 'memberships_gone=[0-9]*')" "memberships_gone=$left_members"
	mode empty
	sync "$name"
	like "spec60_63_${name}_nothing_left" "$(show "$name" error_message)" '^All [0-9]* (people|groups)'
	equals "spec60_63_${name}_deletes_nothing" "$(count identity list)" "$left"
	equals "sync_${name}_is_off" "$(show "$name" disabled_reason)" "Sync error"
	mode noscope
	portal directory update "$name" --verified on >/dev/null 2>&1
	portal directory enable "$name" >/dev/null 2>&1
	sync "$name"
	like "sync_${name}_lacks_rights" "$(show "$name" error_message)" '403|scope'
	equals "sync_${name}_is_off_again" "$(show "$name" disabled_reason)" "Sync error"
	portal directory delete "$name" >/dev/null 2>&1 || portal directory delete "$name" --yes >/dev/null 2>&1
	equals "sync_${name}_deleted" "$(count identity list) $(count actor list)" "0 1"
}

# The portal's clock reads directories, too: each kind at its minute of every even hour. What is due soon comes last, and after it.
due_in() { # due_in KIND: seconds until then, 0 or less in that minute
	local minute now
	case $1 in entra) minute=0 ;; google) minute=20 ;; okta) minute=40 ;; esac
	now=$(($(date +%s) % 7200 - minute * 60))
	if [ $now -ge 60 ]; then echo $((7200 - now)); else echo $((-now)); fi
}
is_due_soon() { [ "$(due_in "$1")" -lt 240 ]; }

# dev has u0..u6 and, nested, u7: 8; ops the same: 8; sales 1. Okta leaves out u6, who is suspended.
google() { one_directory google 8 17 7 2 --type google --domain acme.example --impersonation-email admin@acme.example; }
entra() { one_directory entra 8 17 7 2 --type entra --tenant-id 0b8c1d2e-0000-4000-8000-000000000001; }
okta() { one_directory okta 7 15 6 2 --type okta --okta-domain 127.0.0.1 --client-id okta-client --kid k1 --private-key-jwk "$(cat "$work/okta.json")"; }
later=
for kind in google entra okta; do
	if is_due_soon $kind; then later="$later $kind"; else $kind; fi
done
for kind in $later; do
	while is_due_soon "$kind"; do sleep 1; done
	$kind
done
grep 'bad request' "$work/server.log" | sort | uniq -c >"$work/bad"
check sync_requests_are_as_documented diff /dev/null "$work/bad"
finish
