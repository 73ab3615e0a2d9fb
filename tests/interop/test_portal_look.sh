#!/bin/bash
# The pages' building blocks in a real Chromium: both themes, phone and desk, with and without script; axe-core finds nothing; and app.js does
# what its head promises, passkeys included (against a virtual authenticator, checked by node's crypto).
#
# packages: chromium:chromium node:nodejs
# timeout: 500
# lasts: 75
#
# axe-core is fetched once from npm into $AXE_NPM_DIR (default build/interop/axe); where it is not to be had, that test is skipped. Screenshots
# are kept in build/screenshots/look. All traffic stays on loopback.
set -u
cd "$(dirname "$0")/../.."
driver=${INTEROP_BIN:-$PWD/build/static/tests/interop}/page_driver
axe_dir=${AXE_NPM_DIR:-$PWD/build/interop/axe}
work=${SCRATCH:-$(mktemp -d)}
[ -n "${SCRATCH:-}" ] || trap 'rm -rf "$work"' EXIT

for tool in chromium node; do
	command -v $tool >/dev/null || { echo "skip portal_look: no $tool"; exit 0; }
done
if [ ! -e "$axe_dir/node_modules/axe-core" ] && command -v npm >/dev/null; then
	mkdir -p "$axe_dir" && timeout 120 npm install --prefix "$axe_dir" --no-audit --no-fund --silent axe-core@4.10.3 >"$work/npm.log" 2>&1
fi
mkdir -p build/screenshots/look
timeout -k 10 480 node tests/interop/portal_look.mjs "$driver" applets/portal/web/assets "$axe_dir/node_modules/axe-core/axe.min.js" "$work" \
	build/screenshots/look || echo "not ok portal_look: ended with status $?"
