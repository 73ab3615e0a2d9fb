#!/bin/bash
# Sign-up to first access as one journey, the clock running: a real Chromium opens the link that `portal init` printed; at the end a colleague's real client
# fetches a page through the tunnel and the overview shows it. Then every page that anything links to, in both themes, at a desk and on a phone, with and
# without script. Screenshots are kept in build/screenshots/journey.
# needs: root
# packages: ip:iproute2 nft:nftables curl:curl python3:python3 chromium:chromium node:nodejs npm:npm
# timeout: 1000
# lasts: 70
#
# axe-core is fetched once from npm into $AXE_NPM_DIR (default build/interop/axe); where it is not to be had, that test is skipped.
. "$(dirname "$0")/lib.sh"

for tool in chromium node; do
	command -v $tool >/dev/null || { skip all "no $tool" && finish; }
done
axe_dir=${AXE_NPM_DIR:-$ROOT/build/interop/axe}
npm_packages "$axe_dir" axe-core@4.10.3
shots=$ROOT/build/screenshots/journey
mkdir -p "$shots"

must internet cone cone
must start_web
# The operator sits at the portal's machine: browsers make passkeys for localhost without TLS.
base=http://localhost:13001/
must admin init --web-url "$base" >"$E2E/init.txt"
grep -o "${base}auth/link/.*" "$E2E/init.txt" >"$E2E/first-link"
start portal portal "$EMBERBOX" portal serve --dir "$E2E/portal" --listen 0.0.0.0:13001 --web-url "$base" --api-url "$API_URL/" --web-refill-rate 0 \
	--socket-capacity 100 --socket-refill-rate 100
must wait_log portal 'portal is ready'
RELAY_TOKEN=$(new_token --relay)
start_relay relay
must has_joined relay
printf '#!/bin/sh\nexec ip netns exec %s-portal chromium "$@"\n' "$P" >"$E2E/chromium"
mkdir "$E2E/bin" && ln -s "$EMBERBOX" "$E2E/bin/emberbox"
chmod +x "$E2E/chromium"

# What the page said is pasted into a shell of the gateway's machine, as it stands.
paste_gateway() { start gateway gateway env PATH="$E2E/bin:$PATH" FIREZONE_NAME=gateway sh "$1"; }

first_fetch() { FETCH_SECS=1 fetch http://10.9.0.80/small; }

paste_client() {
	own_etc client
	check client_signs_in in_ns client "$EMBERBOX" client sign-in --token-path "$E2E/token" --auth-base-url "$base" <"$1"
	check token_is_kept_safe [ "$(stat -c '%a %u' "$E2E/token")" = "600 0" ]
	start client client env FIREZONE_NAME=client FIREZONE_ID="$P-client" "$EMBERBOX" client --token-path "$E2E/token" --dns-control disabled --api-url "$API_URL"
	check a_page_comes_through_the_tunnel wait_for 80 first_fetch
	touch "$E2E/client-done"
}

exec 8< <(CHROMIUM=$E2E/chromium timeout -k 10 900 node "$ROOT/tests/e2e/journey.mjs" "$EMBERBOX" "$base" "$E2E/portal" "$E2E" "$shots" \
	"$axe_dir/node_modules/axe-core/axe.min.js" 2>&1)
browser=$!
while read -r verb what rest <&8; do
	case $verb in
	run) "paste_$what" "$rest" ;;
	not) FAILED=$((FAILED + 1)) && echo "$verb $what $rest" ;;
	*) echo "$verb $what${rest:+ $rest}" ;;
	esac
done
wait $browser || FAILED=$((FAILED + ($? == 124)))
[ $FAILED = 0 ] || not_ok whole
finish
