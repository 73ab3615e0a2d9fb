#!/bin/bash
# The serving portal and peers of both protocol versions, spoken by the phoenix npm client: each client version through each gateway version
# (spec 10 §14, spec 60 item 44).
#
# packages: curl:curl
# timeout: 240
#
# The npm packages are those of test_websocket_clients.sh, in the same place; where they are not to be had, the test is skipped. All traffic
# stays on loopback.
set -u
cd "$(dirname "$0")/../.."
emberbox=${EMBERBOX:-$PWD/build/static/all/emberbox}
npm_dir=${PHOENIX_NPM_DIR:-$PWD/build/interop/npm}
work=$(mktemp -d)
port=${VERSIONS_TEST_PORT:-18433}
pid=

cleanup() {
	[ -z "$pid" ] || { kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; }
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fail() { # fail NAME LOG
	echo "not ok $1"
	sed 's/^/    /' "$2" | tail -n 40
	exit 1
}

get_npm_packages() {
	[ -e "$npm_dir/node_modules/phoenix" ] && [ -e "$npm_dir/node_modules/ws" ] && return
	command -v npm >/dev/null && mkdir -p "$npm_dir" &&
		timeout 120 npm install --prefix "$npm_dir" --no-audit --no-fund --silent phoenix@1.8.1 ws@8.18.0 >"$work/npm.log" 2>&1
}

[ -x "$emberbox" ] || { echo "not ok portal_versions: $emberbox is not built"; exit 1; }
if ! command -v node >/dev/null || ! get_npm_packages; then
	echo "skip portal_versions: the phoenix package cannot be had"
	exit 0
fi

portal() { "$emberbox" portal --dir "$work/state" "$@"; }
value() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

{
	portal init && portal account add --name Acme --admin-email jo@acme.example && portal site add --name Berlin
} >"$work/setup" 2>&1 || fail portal_versions_setup "$work/setup"
resource=$(portal resource add --site Berlin --address 10.9.0.0/24 --name lab --json 2>>"$work/setup" | value id)
portal policy add --group Everyone --resource lab >>"$work/setup" 2>&1 || fail portal_versions_setup "$work/setup"
client=$(portal token add --actor jo@acme.example --json 2>>"$work/setup" | value token)
gateway=$(portal token add --site Berlin --json 2>>"$work/setup" | value token)
[ -n "$resource" ] && [ -n "$client" ] && [ -n "$gateway" ] || fail portal_versions_setup "$work/setup"

"$emberbox" portal --dir "$work/state" serve --listen "127.0.0.1:$port" --api-url "http://127.0.0.1:$port/" --mail none >"$work/serve" 2>&1 &
pid=$!
for _ in $(seq 200); do
	curl -s "http://127.0.0.1:$port/readyz" | grep -q '"ready"' && break
	sleep 0.1
done
timeout 120 node tests/interop/portal_versions.mjs "$npm_dir" "ws://127.0.0.1:$port" "$resource" "$client" "$gateway" || fail portal_versions "$work/serve"
kill -0 "$pid" 2>/dev/null || fail portal_versions_lives "$work/serve"
