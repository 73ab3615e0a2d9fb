#!/bin/bash
# Signing in by a real identity provider, oidc-provider from npm, with curl as the browser (spec 60 §3.6; items 17-19, 25, 26, 29).
#
# packages: curl:curl python3:python3
# timeout: 600
# timed: nobody waits for a second
#
# The npm package is fetched once into $OIDC_NPM_DIR (default build/interop/npm-oidc); where npm or the registry is not to be had, everything is
# skipped. All traffic stays on loopback.
. "$(dirname "$0")/lib.sh"
npm_dir=${OIDC_NPM_DIR:-$ROOT/build/interop/npm-oidc}

npm_packages "$npm_dir" oidc-provider@8.8.1 || { skip oidc_npm "the oidc-provider package cannot be had" && finish; }

# --- both ends ----------------------------------------------------------------------------------------------------------------
port=$(free_port) idp=$(free_port)
base=http://127.0.0.1:$port

{
	portal init && portal account add --name Acme --slug acme --admin-email jo@acme.example && portal actor add --name Kim --email kim@acme.example
} >"$work/setup" 2>&1 || fail oidc_setup "$work/setup"

serve_idp() { # serve_idp SEED
	launch idp node tests/interop/oidc_provider.mjs "$npm_dir" "$idp" "$base/auth/oidc/callback" "$1"
	must wait_log idp '^listening'
}
serve() { must serve_portal --web-url "$base" --web-refill-rate 0 "$@"; }

serve_idp first
serve --allow-internal-idps

add_provider() { # add_provider CLIENT: its id
	portal provider add --type oidc --name "Idp $1" --client-id "$1" --client-secret 's3cret/+ &=' --verified on --issuer "http://127.0.0.1:$idp" \
		--discovery-document-uri "http://127.0.0.1:$idp/.well-known/openid-configuration" --json >"$work/provider.json" 2>&1 || return
	portal provider enable "Idp $1" >/dev/null 2>&1
	field id <"$work/provider.json" | head -1
}
rs=$(add_provider rs) es=$(add_provider es) ed=$(add_provider ed)
[ -n "$rs" ] && [ -n "$es" ] && [ -n "$ed" ] || fail oidc_providers "$work/provider.json"

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

sees() { # sees TEST FILE PATTERN
	if grep -qE -- "$3" "$2"; then
		ok "$1"
	else
		not_ok "$1" "wanted $3 in"
		sed 's/^/    /' "$work/end"
		sed 's/<[^>]*>//g; s/^[[:space:]]*//; /^$/d; s/^/    /' "$2" | head -30
	fi
}

for alg in rs es ed; do
	forget
	as jo@acme.example
	browse "$base/acme/sign_in/oidc/${!alg}?redirect_to=%2Facme%2Fgroups"
	sees "spec60_25_oidc_signs_in_with_$alg" "$work/end" "^200 $base/acme/groups\$"
done

forget
as kim@acme.example
browse "$base/acme/sign_in/oidc/$rs?as=headless-client"
sees spec60_19_oidc_headless_gets_a_token "$work/page" '\.[A-Za-z0-9_-]{100,}'

forget
browse "$base/acme/sign_in/oidc/$rs?as=gui-client&state=5ta7e&nonce=0123456789abcdef"
sees spec60_18_oidc_gui_page_leads_to_the_client "$work/page" '/acme/sign_in/client_redirect'
once "$base/acme/sign_in/client_redirect?as=gui-client&state=5ta7e&nonce=0123456789abcdef"
sees spec60_18_oidc_gui_gets_its_deep_link "$work/end" '^30[0-9] firezone-fd0020211111://handle_client_sign_in_callback/?\?.*identity_provider_identifier=kim%40acme.example&state=5ta7e'

forget
browse "$base/acme/sign_in/oidc/$rs"
sees spec60_20_oidc_users_may_not_into_the_portal "$work/page" 'for administrators'

forget
as nobody@acme.example
before=$(portal actor list --json | grep -c '"id"')
browse "$base/acme/sign_in/oidc/$rs?as=headless-client"
sees spec60_26_oidc_makes_nobody_up "$work/page" 'Nobody in this account'
[ "$(portal actor list --json | grep -c '"id"')" = "$before" ] || not_ok spec60_26_oidc_makes_nobody_up "there is an actor more"

# an address that changes: the identity is known by now, so it is still Kim
portal identity list --json >"$work/identities"
sees oidc_identities_are_kept "$work/identities" 'kim@acme.example'

# --- the way back, attacked -------------------------------------------------------------------------------------------------------
as jo@acme.example
forget
browse "$base/auth/oidc/callback?state=x&code=y"
sees spec60_25_oidc_callback_without_a_cookie "$work/page" 'did not begin a sign-in'

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
	[ -n "$callback" ] || not_ok oidc_way_back "$(cat "$work/end")"
}

begin
browse "$(echo "$callback" | sed 's/state=[^&]*/state=another/')"
sees spec60_25_oidc_state_of_another "$work/page" 'does not belong to the sign-in'

begin
cp "$jar" "$work/jar.before"
browse "$callback"
sees spec60_25_oidc_the_first_time "$work/end" "^200 $base/acme/sites"
cp "$work/jar.before" "$jar"
browse "$callback"
sees spec60_25_oidc_replayed "$work/page" 'used already'

begin
cp "$jar" "$work/jar.before"
sed -i 's/\(\toidc\t....................\)_/\1-/; t; s/\(\toidc\t....................\)./\1_/' "$jar"
cmp -s "$jar" "$work/jar.before" && not_ok spec60_25_oidc_cookie_tampered_with "it is as it was"
browse "$callback"
sees spec60_25_oidc_cookie_tampered_with "$work/page" 'did not begin a sign-in'

begin
browse "$(echo "$callback" | sed 's/code=[^&]*/code=made-up/')"
sees spec60_25_oidc_made_up_code "$work/page" 'invalid_grant'

begin
browse "$(echo "$callback" | sed 's/iss=[^&]*/iss=https%3A%2F%2Fevil.example/')"
sees spec60_25_oidc_answer_of_another_provider "$work/page" 'another identity provider'

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
sees oidc_trial_with_a_wrong_secret "$work/page" 'invalid_client'
try 's3cret/+ &='
browse "$link"
sees oidc_trial_comes_back_to_its_form "$work/end" "^200 $form\\?verification="
sees oidc_trial_keeps_the_form "$work/page" 'value="Tried"'
form=$(cut -d' ' -f2 "$work/end")
try ''
sees oidc_trial_is_saved "$work/end" "^30[0-9] $base/acme/settings/authentication\$"
portal provider show Tried --json >"$work/tried"
sees oidc_trial_gave_the_issuer "$work/tried" "\"issuer\": *\"http://127.0.0.1:$idp\""
sees oidc_trial_verified "$work/tried" '"is_verified": *true'

# --- a provider that misbehaves -------------------------------------------------------------------------------------------------
mode deny
forget
browse "$base/acme/sign_in/oidc/$rs"
sees oidc_refusal_is_told "$work/page" 'access_denied'
mode slow
forget
curl -sS -o /dev/null "$base/healthz" && browse "$base/acme/sign_in/oidc/$rs" &
slow=$!
sleep 1
began=$(date +%s%N)
curl -sS -o /dev/null "$base/healthz"
took=$((($(date +%s%N) - began) / 1000000))
wait $slow
sees oidc_slow_provider_is_given_up "$work/page" 'did not answer in time'
[ "$took" -lt 1000 ] && ok oidc_nobody_else_waits || not_ok oidc_nobody_else_waits "$took ms"
mode ok

# other keys: of a provider that was started anew, while ours still has the old set
stop idp
serve_idp second
forget
sleep 5 # how often keys are asked for at most (OIDC_KEYS_PAUSE)
browse "$base/acme/sign_in/oidc/$es?redirect_to=%2Facme%2Fgroups"
sees oidc_new_keys_are_fetched_and_userinfo_has_the_address "$work/end" "^200 $base/acme/groups\$"

# discovery is believed for a while: ask anew by another client
stop portal
serve --allow-internal-idps
for what in huge inside broken; do
	mode $what
	forget
	browse "$base/acme/sign_in/oidc/$rs"
	case $what in
	huge) sees oidc_huge_discovery "$work/page" 'too large' ;;
	inside) sees oidc_redirects_are_not_followed "$work/page" 'status 302' ;;
	broken) sees oidc_broken_discovery "$work/page" 'status 500' ;;
	esac
done
mode ok
stop portal

serve
forget
browse "$base/acme/sign_in/oidc/$rs"
sees oidc_internal_provider_is_refused "$work/page" 'internal address'
portal provider disable "Idp rs" >/dev/null
forget
browse "$base/acme/sign_in/oidc/$rs"
sees oidc_disabled_provider_is_refused "$work/page" 'switched off'
finish
