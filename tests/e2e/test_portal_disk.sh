#!/bin/bash
# The disk of a serving portal fills up, and its database is deleted under its feet: changes are refused in words and with what was typed, everything
# else goes on, nothing is lost, the log tells it once, and it ends by itself.
# needs: root
# packages: ip:iproute2 curl:curl python3:python3
# timeout: 400
# lasts: 20
[ -n "${IN_MOUNTS:-}" ] || IN_MOUNTS=1 exec unshare -m --propagation private "$0" "$@"
. "$(dirname "$0")/lib.sh"
export PYTHONDONTWRITEBYTECODE=1
must place portal

mkdir "$E2E/small" && mount -t tmpfs -o size=8m none "$E2E/small" || { skip all "no tmpfs here"; finish; }
trap 'umount -l "$E2E/small"; cleanup' EXIT
DIR=$E2E/small/state
PORTAL="$EMBERBOX portal --dir $DIR"
{
	$PORTAL init && $PORTAL account add --name Acme --admin-email jo@acme.example && $PORTAL site add --name Berlin && $PORTAL api-client add --name program
} >"$E2E/setup" 2>&1 || must cat "$E2E/setup"
API=$($PORTAL api-token add --actor program --name test --json | field token)
CLIENT=$($PORTAL token add --actor jo@acme.example --json | field token)
GATEWAY=$($PORTAL token add --site Berlin --json | field token)
LINK=$($PORTAL link add --actor jo@acme.example --json | field url)
serve() {
	start portal portal "$EMBERBOX" portal --dir "$DIR" serve --listen 127.0.0.1:13001 --web-refill-rate 0 --api-refill-rate 0 --socket-capacity 1000 \
		--socket-refill-rate 1000 --mail none && wait_log portal 'portal is ready' 30
}
must serve
in_ns portal python3 "$ROOT/tests/e2e/disk.py" 13001 "$DIR" "$E2E/small" "$E2E/portal.log" "$LINK" "$API" "$CLIENT" "$GATEWAY" "$EMBERBOX" >"$E2E/disk.out" 2>&1
rc=$?
cat "$E2E/disk.out"
grep -q '^not ok' "$E2E/disk.out" && FAILED=1
[ $rc = 0 ] || not_ok driver "ended with $rc"
check sigterm_ends_with_0 stop portal

# What was there is there after a start; a directory that cannot be written is named.
check it_starts_again_with_everything eval 'serve && $PORTAL site list | grep -qw after && $PORTAL site list | grep -qw before && stop portal'
read_only() {
	mount -o remount,ro "$E2E/small" || return
	in_ns portal timeout 40 $PORTAL serve --listen 127.0.0.1:13001 --mail none >"$E2E/out" 2>&1
	local rc=$?
	mount -o remount,rw "$E2E/small"
	[ $rc = 1 ] && grep -qi "read-only" "$E2E/out" || { echo "status $rc: $(cat "$E2E/out")"; return 1; }
}
check a_read_only_directory_is_named read_only
finish
