#!/bin/bash
# The wall clock of a serving portal is set: a day backward, a year forward, and right again, while an admin, clients and a gateway are there. The portal is
# the real one but for clock_gettime() (clock_driver.c says why).
#
# packages: python3:python3 curl:curl
# timeout: 180
# lasts: 30
set -u
export PYTHONDONTWRITEBYTECODE=1
cd "$(dirname "$0")/../.."
driver=${INTEROP_BIN:-$PWD/build/static/tests/interop}/clock_driver
work=$(mktemp -d)
port=${CLOCK_TEST_PORT:-18439}
pid=

cleanup() {
	[ -z "$pid" ] || { kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; }
	[ -n "${KEEP:-}" ] && echo "note kept $work" || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fail() { # fail NAME LOG
	echo "not ok $1"
	tail -n 40 "$2" | sed 's/^/    /'
	exit 1
}
export CLOCK_FILE=$work/clock
head -c 32 /dev/zero >"$CLOCK_FILE"
portal() { "$driver" --dir "$work/state" "$@"; }
json() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

[ -x "$driver" ] || { echo "not ok portal_clock: $driver is not built"; exit 1; }
{ portal init && portal account add --name Acme --admin-email jo@acme.example && portal site add --name Berlin; } >"$work/setup" 2>&1 || fail portal_clock_setup "$work/setup"
link=$(portal link add --actor jo@acme.example --json | json url)
spare=$(portal link add --actor jo@acme.example --purpose recovery --json | json url)
short=$(portal token add --actor jo@acme.example --expires 30d --json | json token)
long=$(portal token add --actor jo@acme.example --expires 1800d --json | json token)
gateway=$(portal token add --site Berlin --json | json token)
"$driver" --dir "$work/state" serve --listen "127.0.0.1:$port" --web-url "http://127.0.0.1:$port/" --web-refill-rate 0 --socket-capacity 100 --socket-refill-rate 100 --mail none >"$work/serve.log" 2>&1 &
pid=$!
for _ in $(seq 200); do
	curl -s "http://127.0.0.1:$port/readyz" | grep -q '"ready"' && break
	sleep 0.1
done
python3 tests/interop/clock.py "$port" "$CLOCK_FILE" $pid "$work/serve.log" "$link" "$spare" "$short" "$long" "$gateway" >"$work/out" 2>&1
rc=$?
cat "$work/out"
[ $rc = 0 ] || fail portal_clock_driver "$work/serve.log"
kill $pid
wait $pid && echo "ok portal_clock_sigterm_ends_with_0" || echo "not ok portal_clock_sigterm_ends_with_0"
pid=
