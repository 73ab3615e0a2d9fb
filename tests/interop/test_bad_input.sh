#!/bin/bash
# Bad input, found by itself: every field of every form that the pages show, and every field of every operation of the API's own document, with
# hostile values (lists of them and what is asked of the answers: bad_forms.py, bad_json.py). Before that: cookies that were tampered with, what is
# used twice, two admins at one row (bad_sessions.py).
#
# packages: python3:python3
# timeout: 1200
# lasts: 60
. "$(dirname "$0")/lib.sh"
export PYTHONDONTWRITEBYTECODE=1
port=$(free_port)
CHECK_LINES=60

# What a check found out stands in its last line.
telling() { check "$@" && tail -n 1 "$work/check.out" | sed 's/^/note /'; }

# Two accounts with one of each; what the second one is called is in all its names.
in_account() { # in_account SLUG WORD
	export EMBERBOX_ACCOUNT=$1
	portal site add --name "$2 Berlin" && portal resource add --site "$2 Berlin" --address 10.9.0.0/24 --name "$2 lab" --filter tcp:22,80-90 &&
		portal resource add --site "$2 Berlin" --address '*.corp.example' --name "$2 names" &&
		portal group add --name "$2 Makers" && portal actor add --email "sam@$1.example" --name "$2 Sam" &&
		portal actor add --type service-account --name "$2 backup" && portal member add --group "$2 Makers" --actor "sam@$1.example" &&
		portal policy add --group "$2 Makers" --resource "$2 lab" --condition 'remote_ip is_in_cidr 198.51.100.0/24' &&
		portal api-client add --name "$2 program" &&
		portal provider add --type oidc --name "$2 Keycloak" --client-id a --client-secret b --discovery-document-uri https://127.0.0.1:9/openid-configuration &&
		portal directory add --type okta --name "$2 Okta" --okta-domain acme.okta.com --client-id x \
			--private-key-jwk '{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}' --kid 1 &&
		portal directory add --type google --name "$2 Google" --domain "$1.example" --impersonation-email "jo@$1.example" &&
		portal directory add --type entra --name "$2 Entra" --tenant-id 0b8c1d2e-0000-4000-8000-000000000001
}
{
	portal init && portal account add --name Acme --admin-email jo@acme.example && portal account add --name Other --admin-email kim@other.example &&
		in_account other Qwertz && in_account acme Our
} >"$work/setup" 2>&1 || fail bad_input_setup "$work/setup"
foreign=$(for noun in site resource group actor policy api-client provider directory; do portal "$noun" list --account other --json | tr ',' '\n' | field id | head -n 3; done | sort -u | paste -sd,)
export EMBERBOX_ACCOUNT=acme
token=$(portal api-token add --actor 'Our program' --name test --json | field token)
client=$(portal token add --actor jo@acme.example --json | field token)
gateway=$(portal token add --site 'Our Berlin' --json | field token)
portal actor add --type admin --email lee@acme.example --name Lee >>"$work/setup" 2>&1 || fail bad_input_setup "$work/setup"
link_of() { portal link add --account "$1" --actor "$2" --purpose recovery --json | field url; }
links="$(link_of acme jo@acme.example) $(link_of other kim@other.example) $(link_of acme lee@acme.example) $(link_of acme jo@acme.example)"
link=$(link_of acme lee@acme.example)
must serve_portal --web-url "http://127.0.0.1:$port/" --api-url "http://127.0.0.1:$port/" --api-refill-rate 0 --web-refill-rate 0 \
	--mail smtp://127.0.0.1:9 --mail-from portal@acme.example --sign-up --socket-capacity 100 --socket-refill-rate 100
launch peers python3 tests/interop/portal_peers.py "$port" "client=$client" "gateway=$gateway"
both_joined() { [ "$(grep -c joined "$work/peers.log")" -ge 2 ]; }
wait_for 300 both_joined || fail bad_input_peers "$work/peers.log"

telling bad_input_sessions python3 tests/interop/bad_sessions.py "$port" $links "$token"
before=$(portal export --account other | grep -v exported_at | sha256sum)
telling bad_input_forms python3 tests/interop/bad_forms.py "$port" "$link" "$foreign" Qwertz
telling bad_input_api python3 tests/interop/bad_json.py "$port" "$token" "$foreign" Qwertz
check bad_input_leaves_the_other_account_alone [ "$before" = "$(portal export --account other | grep -v exported_at | sha256sum)" ]
check bad_input_portal_lives is_alive "${PIDS[portal]}"
check bad_input_peers_stay is_alive "${PIDS[peers]}"
grep -E 'a page did not answer|an answer could not be written|answered twice|ERROR' "$work/portal.log" >"$work/errors"
check bad_input_nothing_broke_inside [ ! -s "$work/errors" ]
finish
