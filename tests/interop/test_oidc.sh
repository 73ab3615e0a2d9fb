#!/bin/bash
# Signing in by a real identity provider, oidc-provider from npm, with curl as the browser (spec 60 §3.6; items 17-19, 25, 26, 29).
#
# packages: curl:curl
# timeout: 300
# timed: nobody waits for a second
#
# The npm package is fetched once into $OIDC_NPM_DIR (default build/interop/npm-oidc); where npm or the registry is not to be had, everything is
# skipped. All traffic stays on loopback.
set -u
cd "$(dirname "$0")/../.."
ember=${EMBERBOX:-$PWD/build/static/all/emberbox}
npm_dir=${OIDC_NPM_DIR:-$PWD/build/interop/npm-oidc}
package=oidc-provider@8.8.1
work=${SCRATCH:-$(mktemp -d)}
pids=

cleanup() {
	for p in $pids; do kill "$p" 2>/dev/null; done
	[ -n "${SCRATCH:-}" ] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fail() { echo "not ok oidc_setup: $1"; exit 1; }

start() { # start LOG COMMAND...: in the background, its words in LOG; its id in $started
	log=$1
	shift
	"$@" >"$log" 2>&1 </dev/null &
	started=$!
	pids="$pids $started"
}

wait_for() { # wait_for LOG PATTERN [SECONDS]
	for _ in $(seq $((${3:-20} * 20))); do
		grep -q -- "$2" "$1" 2>/dev/null && return 0
		sleep 0.05
	done
	return 1
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

get_npm_packages() {
	[ -e "$npm_dir/node_modules/oidc-provider" ] && return
	if ! command -v npm >/dev/null; then
		DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends npm >/dev/null 2>&1 || return
	fi
	mkdir -p "$npm_dir" && timeout 180 npm install --prefix "$npm_dir" --no-audit --no-fund --silent $package >"$work/npm.log" 2>&1
}

if ! get_npm_packages || ! command -v node >/dev/null; then
	echo "skip oidc_npm: the oidc-provider package cannot be had"
	exit 0
fi

# --- both ends ----------------------------------------------------------------------------------------------------------------
port=$(free_port) idp=$(free_port)
base=http://127.0.0.1:$port
dir=$work/portal
portal() { "$ember" portal "$@" --dir "$dir"; }

portal init >/dev/null || fail "portal init"
portal account add --name Acme --slug acme --admin-email jo@acme.example >/dev/null || fail "account add"
portal actor add --name Kim --email kim@acme.example >/dev/null || fail "actor add"

serve_idp() { # serve_idp SEED
	start "$work/idp-$1.log" node tests/interop/oidc_provider.mjs "$npm_dir" "$idp" "$base/auth/oidc/callback" "$1"
	idp_pid=$started
	wait_for "$work/idp-$1.log" '^listening' || fail "the identity provider does not start: $(cat "$work/idp-$1.log")"
}
serve_portal() { # serve_portal LOG [OPTION...]
	words=$work/$1
	shift
	start "$words" "$ember" portal serve --dir "$dir" --listen "127.0.0.1:$port" --web-url "$base" --web-refill-rate 0 "$@"
	portal_pid=$started
	wait_for "$words" 'portal is ready' || fail "the portal does not start: $(cat "$words")"
}
stop() { kill "$1"; wait "$1" 2>/dev/null; }

serve_idp first
serve_portal portal.log --allow-internal-idps

add_provider() { # add_provider CLIENT: its id
	portal provider add --type oidc --name "Idp $1" --client-id "$1" --client-secret 's3cret/+ &=' --verified on --issuer "http://127.0.0.1:$idp" \
		--discovery-document-uri "http://127.0.0.1:$idp/.well-known/openid-configuration" --json >"$work/provider.json" || fail "provider add: $(cat "$work/provider.json")"
	portal provider enable "Idp $1" >/dev/null 2>&1
	sed -n 's/.*"id": *"\([0-9a-f-]*\)".*/\1/p' "$work/provider.json" | head -1
}
rs=$(add_provider rs) es=$(add_provider es) ed=$(add_provider ed)
[ -n "$rs" ] && [ -n "$es" ] && [ -n "$ed" ] || fail "no provider ids: $(cat "$work/provider.json")"

# --- a browser ------------------------------------------------------------------------------------------------------------------
jar=$work/jar
browse() { # browse URL [CURL OPTION...]: follows redirects; page in $work/page, where it ended in $work/end
	url=$1
	shift
	curl -sS -L --max-redirs 12 --proto-redir =http,https -b "$jar" -c "$jar" -o "$work/page" -w '%{http_code} %{url_effective}\n' "$@" "$url" >"$work/end" 2>"$work/curl.err"
}
once() { curl -sS -b "$jar" -c "$jar" -o "$work/page" -w '%{http_code} %{redirect_url}\n' "$@" >"$work/end"; }
forget() { rm -f "$jar"; }
as() { curl -sS -o /dev/null "http://127.0.0.1:$idp/__as/$1"; }
mode() { curl -sS -o /dev/null "http://127.0.0.1:$idp/__mode/$1"; }

check() { # check NAME FILE PATTERN
	if grep -qE -- "$3" "$2"; then
		echo "ok $1"
	else
		echo "not ok $1"
		echo "    wanted $3 in"
		sed 's/^/    /' "$work/end"
		sed 's/<[^>]*>//g; s/^[[:space:]]*//; /^$/d; s/^/    /' "$2" | head -30
		tail -5 "$words" | sed 's/^/    /'
	fi
}

for alg in rs es ed; do
	forget
	as jo@acme.example
	browse "$base/acme/sign_in/oidc/${!alg}?redirect_to=%2Facme%2Fgroups"
	check "spec60_25_oidc_signs_in_with_$alg" "$work/end" "^200 $base/acme/groups\$"
done

forget
as kim@acme.example
browse "$base/acme/sign_in/oidc/$rs?as=headless-client"
check spec60_19_oidc_headless_gets_a_token "$work/page" '\.[A-Za-z0-9_-]{100,}'

forget
browse "$base/acme/sign_in/oidc/$rs?as=gui-client&state=5ta7e&nonce=0123456789abcdef"
check spec60_18_oidc_gui_page_leads_to_the_client "$work/page" '/acme/sign_in/client_redirect'
once "$base/acme/sign_in/client_redirect?as=gui-client&state=5ta7e&nonce=0123456789abcdef"
check spec60_18_oidc_gui_gets_its_deep_link "$work/end" '^30[0-9] firezone-fd0020211111://handle_client_sign_in_callback/?\?.*identity_provider_identifier=kim%40acme.example&state=5ta7e'

forget
browse "$base/acme/sign_in/oidc/$rs"
check spec60_20_oidc_users_may_not_into_the_portal "$work/page" 'for administrators'

forget
as nobody@acme.example
before=$(portal actor list --json | grep -c '"id"')
browse "$base/acme/sign_in/oidc/$rs?as=headless-client"
check spec60_26_oidc_makes_nobody_up "$work/page" 'Nobody in this account'
[ "$(portal actor list --json | grep -c '"id"')" = "$before" ] || echo "not ok spec60_26_oidc_makes_nobody_up: there is an actor more"

# an address that changes: the identity is known by now, so it is still Kim
portal identity list --json >"$work/identities"
check oidc_identities_are_kept "$work/identities" 'kim@acme.example'

# --- the way back, attacked -------------------------------------------------------------------------------------------------------
as jo@acme.example
forget
browse "$base/auth/oidc/callback?state=x&code=y"
check spec60_25_oidc_callback_without_a_cookie "$work/page" 'did not begin a sign-in'

begin() { # to the provider and to the threshold of the way back: $callback
	forget
	once "$base/acme/sign_in/oidc/$rs"
	next=$(cut -d' ' -f2 "$work/end")
	callback=
	for _ in 1 2 3 4 5 6; do
		once "$next"
		next=$(cut -d' ' -f2 "$work/end")
		case $next in "$base"/auth/oidc/callback*) callback=$next; break ;; esac
	done
	[ -n "$callback" ] || echo "not ok oidc_way_back: $(cat "$work/end")"
}

begin
browse "$(echo "$callback" | sed 's/state=[^&]*/state=another/')"
check spec60_25_oidc_state_of_another "$work/page" 'does not belong to the sign-in'

begin
cp "$jar" "$work/jar.before"
browse "$callback"
check spec60_25_oidc_the_first_time "$work/end" "^200 $base/acme/sites"
cp "$work/jar.before" "$jar"
browse "$callback"
check spec60_25_oidc_replayed "$work/page" 'used already'

begin
sed -i 's/\(\toidc\t....................\)./\1_/' "$jar"
browse "$callback"
check spec60_25_oidc_cookie_tampered_with "$work/page" 'did not begin a sign-in'

begin
browse "$(echo "$callback" | sed 's/code=[^&]*/code=made-up/')"
check spec60_25_oidc_made_up_code "$work/page" 'invalid_grant'

begin
browse "$(echo "$callback" | sed 's/iss=[^&]*/iss=https%3A%2F%2Fevil.example/')"
check spec60_25_oidc_answer_of_another_provider "$work/page" 'another identity provider'

# --- settings are tried by signing in with them (spec 60 §3.7), without script -------------------------------------------------------
forget
browse "$base/acme/sign_in/oidc/$rs"
form=$base/acme/settings/authentication/oidc/new
try() { # try SECRET: fills in the form at $form and sends it; $link is where its answer leads
	browse "$form"
	csrf=$(sed -n 's/.*name="\{0,1\}_csrf"\{0,1\} value="\([^"]*\)".*/\1/p' "$work/page" | head -1)
	once "$form" --data-urlencode "_csrf=$csrf" --data-urlencode "name=Tried" --data-urlencode "client-id=none" --data-urlencode "client-secret=$1" \
		--data-urlencode "discovery-document-uri=http://127.0.0.1:$idp/.well-known/openid-configuration" --data-urlencode "context=clients_and_portal" \
		--data-urlencode "client-session-lifetime-secs=604800" --data-urlencode "portal-session-lifetime-secs=28800"
	link=$(sed -n 's/.*<a href="\([^"]*\)">Go on to.*/\1/p' "$work/page" | sed 's/&amp;/\&/g')
}
try wrong
browse "$link"
check oidc_trial_with_a_wrong_secret "$work/page" 'invalid_client'
try 's3cret/+ &='
browse "$link"
check oidc_trial_comes_back_to_its_form "$work/end" "^200 $form\\?verification="
check oidc_trial_keeps_the_form "$work/page" 'value="Tried"'
form=$(cut -d' ' -f2 "$work/end")
try ''
check oidc_trial_is_saved "$work/end" "^30[0-9] $base/acme/settings/authentication\$"
portal provider show Tried --json >"$work/tried"
check oidc_trial_gave_the_issuer "$work/tried" "\"issuer\": *\"http://127.0.0.1:$idp\""
check oidc_trial_verified "$work/tried" '"is_verified": *true'

# --- a provider that misbehaves -------------------------------------------------------------------------------------------------
mode deny
forget
browse "$base/acme/sign_in/oidc/$rs"
check oidc_refusal_is_told "$work/page" 'access_denied'
mode slow
forget
curl -sS -o /dev/null "$base/healthz" && browse "$base/acme/sign_in/oidc/$rs" &
slow=$!
sleep 1
began=$(date +%s%N)
curl -sS -o /dev/null "$base/healthz"
took=$((($(date +%s%N) - began) / 1000000))
wait $slow
check oidc_slow_provider_is_given_up "$work/page" 'did not answer in time'
[ "$took" -lt 1000 ] && echo "ok oidc_nobody_else_waits" || echo "not ok oidc_nobody_else_waits: $took ms"
mode ok

# other keys: of a provider that was started anew, while ours still has the old set
stop "$idp_pid"
serve_idp second
forget
sleep 5 # how often keys are asked for at most (OIDC_KEYS_PAUSE)
browse "$base/acme/sign_in/oidc/$es?redirect_to=%2Facme%2Fgroups"
check oidc_new_keys_are_fetched_and_userinfo_has_the_address "$work/end" "^200 $base/acme/groups\$"

# discovery is believed for a while: ask anew by another client
stop "$portal_pid"
serve_portal portal2.log --allow-internal-idps
for what in huge inside broken; do
	mode $what
	forget
	browse "$base/acme/sign_in/oidc/$rs"
	case $what in
	huge) check oidc_huge_discovery "$work/page" 'too large' ;;
	inside) check oidc_redirects_are_not_followed "$work/page" 'status 302' ;;
	broken) check oidc_broken_discovery "$work/page" 'status 500' ;;
	esac
done
mode ok
stop "$portal_pid"

serve_portal portal3.log
forget
browse "$base/acme/sign_in/oidc/$rs"
check oidc_internal_provider_is_refused "$work/page" 'internal address'
portal provider disable "Idp rs" >/dev/null
forget
browse "$base/acme/sign_in/oidc/$rs"
check oidc_disabled_provider_is_refused "$work/page" 'switched off'
exit 0
