#!/bin/bash
# The wall clock of a serving portal is set: a day backward, a year forward, and right again, while an admin, clients and a gateway are there. The portal is
# the real one but for clock_gettime() (clock_driver.c says why).
#
# packages: python3:python3
# timeout: 500
# lasts: 30
. "$(dirname "$0")/lib.sh"
export PYTHONDONTWRITEBYTECODE=1
port=$(free_port)
CHECK_LINES=40

needs_driver clock_driver
PORTAL=("$driver")
export CLOCK_FILE=$work/clock
head -c 32 /dev/zero >"$CLOCK_FILE"
{ portal init && portal account add --name Acme --admin-email jo@acme.example && portal site add --name Berlin; } >"$work/setup" 2>&1 || fail portal_clock_setup "$work/setup"
link=$(portal link add --actor jo@acme.example --json | field url)
spare=$(portal link add --actor jo@acme.example --purpose recovery --json | field url)
short=$(portal token add --actor jo@acme.example --expires 30d --json | field token)
long=$(portal token add --actor jo@acme.example --expires 1800d --json | field token)
gateway=$(portal token add --site Berlin --json | field token)
must serve_portal --web-url "http://127.0.0.1:$port/" --web-refill-rate 0 --socket-capacity 100 --socket-refill-rate 100 --mail none
python3 tests/interop/clock.py "$port" "$CLOCK_FILE" "${PIDS[portal]}" "$work/portal.log" "$link" "$spare" "$short" "$long" "$gateway" >"$work/out" 2>&1
rc=$?
cat "$work/out"
[ $rc = 0 ] || fail portal_clock_driver "$work/portal.log"
check portal_clock_sigterm_ends_with_0 stop portal
finish
