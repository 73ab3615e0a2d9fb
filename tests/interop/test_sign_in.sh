#!/bin/bash
# Signing in with a real Chromium against a real portal: the first admin by the link of `portal init`, passkeys (a virtual authenticator), password with app
# on a phone without script, the token page of a headless client. Screenshots are kept in build/screenshots/sign-in. All traffic stays on loopback.
#
# packages: chromium:chromium node:nodejs
# timeout: 300
set -u
cd "$(dirname "$0")/../.."
EMBERBOX=${EMBERBOX:-$PWD/build/static/all/emberbox}
work=${SCRATCH:-$(mktemp -d)}
trap 'kill "${server:-}" 2>/dev/null; [ -n "${SCRATCH:-}" ] || rm -rf "$work"' EXIT

for tool in chromium node; do
	command -v $tool >/dev/null || { echo "skip sign_in: no $tool"; exit 0; }
done
shots=$PWD/build/screenshots/sign-in
mkdir -p "$shots"
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
base=http://localhost:$port/
"$EMBERBOX" portal init --dir "$work/portal" --web-url "$base" >"$work/init.log" || { echo "not ok sign_in: init"; exit 1; }
"$EMBERBOX" portal --dir "$work/portal" serve --listen "127.0.0.1:$port" --web-url "$base" >"$work/portal.log" 2>&1 &
server=$!
for _ in $(seq 300); do
	grep -q 'portal is ready' "$work/portal.log" && break
	sleep 0.1
done
timeout -k 10 240 node tests/interop/sign_in.mjs "$EMBERBOX" "$base" "$work/portal" "$work" "$shots"
rc=$?
[ $rc = 0 ] || tail -5 "$work/portal.log"
exit $rc
