#!/bin/bash
# The pages' building blocks in a real Chromium: both themes, phone and desk, with and without script; axe-core finds nothing; and app.js does
# what its head promises, passkeys included (against a virtual authenticator, checked by node's crypto).
#
# packages: chromium:chromium node:nodejs
# timeout: 1000
# lasts: 75
#
# axe-core is fetched once from npm into $AXE_NPM_DIR (default build/interop/axe); where it is not to be had, that test is skipped. Screenshots
# are kept in build/screenshots/look. All traffic stays on loopback.
. "$(dirname "$0")/lib.sh"
needs_driver page_driver
axe_dir=${AXE_NPM_DIR:-$ROOT/build/interop/axe}

for tool in chromium node; do
	command -v $tool >/dev/null || { skip portal_look "no $tool" && finish; }
done
npm_packages "$axe_dir" axe-core@4.10.3
mkdir -p build/screenshots/look
timeout -k 10 900 node tests/interop/portal_look.mjs "$driver" applets/portal/web/assets "$axe_dir/node_modules/axe-core/axe.min.js" "$work" \
	build/screenshots/look || not_ok portal_look "ended with status $?"
finish
