#!/bin/bash
# The serving portal and peers of both protocol versions, spoken by the phoenix npm client: each client version through each gateway version
# (spec 10 §14, spec 60 item 44).
#
# packages: python3:python3
# timeout: 400
#
# The npm packages are those of test_websocket_clients.sh, in the same place; where they are not to be had, the test is skipped. All traffic
# stays on loopback.
. "$(dirname "$0")/lib.sh"
npm_dir=${PHOENIX_NPM_DIR:-$ROOT/build/interop/npm}
port=$(free_port)

npm_packages "$npm_dir" phoenix@1.8.1 ws@8.18.0 || { skip portal_versions "the phoenix package cannot be had" && finish; }

{
	portal init && portal account add --name Acme --admin-email jo@acme.example && portal site add --name Berlin
} >"$work/setup" 2>&1 || fail portal_versions_setup "$work/setup"
resource=$(portal resource add --site Berlin --address 10.9.0.0/24 --name lab --json 2>>"$work/setup" | field id)
portal policy add --group Everyone --resource lab >>"$work/setup" 2>&1 || fail portal_versions_setup "$work/setup"
client=$(portal token add --actor jo@acme.example --json 2>>"$work/setup" | field token)
gateway=$(portal token add --site Berlin --json 2>>"$work/setup" | field token)
[ -n "$resource" ] && [ -n "$client" ] && [ -n "$gateway" ] || fail portal_versions_setup "$work/setup"

must serve_portal --api-url "http://127.0.0.1:$port/" --mail none
timeout 300 node tests/interop/portal_versions.mjs "$npm_dir" "ws://127.0.0.1:$port" "$resource" "$client" "$gateway" || fail portal_versions "$work/portal.log"
is_alive "${PIDS[portal]}" || fail portal_versions_lives "$work/portal.log"
finish
