#!/bin/bash
# Signing in with a real Chromium against a real portal: the first admin by the link of `portal init`, passkeys (a virtual authenticator), password with app
# on a phone without script, the token page of a headless client. Screenshots are kept in build/screenshots/sign-in. All traffic stays on loopback.
#
# packages: chromium:chromium node:nodejs python3:python3
# timeout: 600
. "$(dirname "$0")/lib.sh"

for tool in chromium node; do
	command -v $tool >/dev/null || { skip sign_in "no $tool" && finish; }
done
shots=$ROOT/build/screenshots/sign-in
mkdir -p "$shots"
port=$(free_port)
base=http://localhost:$port/
portal init --web-url "$base" >"$work/init.log" || fail sign_in_init "$work/init.log"
must serve_portal --web-url "$base"
timeout -k 10 500 node tests/interop/sign_in.mjs "$EMBERBOX" "$base" "$work/portal" "$work" "$shots" || { tail -n 5 "$work/portal.log"; exit 1; }
