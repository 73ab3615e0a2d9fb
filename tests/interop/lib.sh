# tests/interop/lib.sh: tests/lib.sh in the root of the tree, with what tests against other people's programs share: drivers, certificates, a portal
# on loopback. Sourced by bash scripts:
#
#	. "$(dirname "$0")/lib.sh"
#	needs_driver phx_driver                              # $driver
#	certificate IP:127.0.0.1,DNS:localhost               # $work/cert.pem and key.pem
#	port=$(free_port)
#	must portal init >"$work/setup"                      # `emberbox portal`, its state in $work/portal
#	must serve_portal --mail none                        # as ${PIDS[portal]}, on $port of 127.0.0.1; it is ready
#
# $PORTAL is the program that `portal` and serve_portal call.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$ROOT" || exit
PORTAL=("$EMBERBOX" portal)

# A program of tests/interop/*.c.
needs_driver() {
	driver=${INTEROP_BIN:-$ROOT/build/static/tests/interop}/$1
	[ -x "$driver" ] || fail "$SUITE: $driver is not built"
}

# check_log TEST NAME PATTERN [SECONDS]: the program NAME says so in time
check_log() {
	wait_log "$2" "$3" "${4:-}"
	verdict "$1" $? "$work/$2.log"
}

# certificate SAN [KEY CERT]: a self-signed one, valid for those names (subjectAltName)
certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$work/${2:-key.pem}" -out "$work/${3:-cert.pem}" -days 5 \
		-subj /CN=localhost -addext "subjectAltName=$1" 2>/dev/null || fail "${SUITE}_certificate"
}

portal() { "${PORTAL[@]}" --dir "$work/portal" "$@"; }
serve_portal() { # serve_portal [OPTION…]
	launch portal "${PORTAL[@]}" --dir "$work/portal" serve --listen "127.0.0.1:$port" "$@"
	wait_log portal 'portal is ready' 30
}
