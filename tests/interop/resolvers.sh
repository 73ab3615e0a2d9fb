# Head of the tests that run resolvers on loopback: sourced first, from a script that is named test_WHAT.sh and set `needs_driver`. In a network
# namespace of its own afterwards, with $driver, $work (removed at the end) and $pids (stopped at the end).
set -u
cd "$(dirname "$0")/../.." || exit 1
what=$(basename "$0" .sh)
driver=${INTEROP_BIN:-$PWD/build/static/tests/interop}/$needs_driver
if [ -z "${IN_NAMESPACE:-}" ]; then
	[ "$(id -u)" = 0 ] || { echo "skip ${what#test_}: needs root"; exit 0; }
	IN_NAMESPACE=1 INTEROP_BIN=${driver%/*} exec unshare -n --kill-child "$0"
fi
work=${SCRATCH:-$(mktemp -d)}
pids=
cleanup() {
	for p in $pids; do kill "$p" 2>/dev/null; done
	wait 2>/dev/null
	[ -n "${SCRATCH:-}" ] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
ip link set lo up
chmod 755 "$work"

# certificate NAMES: $work/key.pem and cert.pem of a resolver (subjectAltName)
certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -days 5 \
		-subj /CN=resolver -addext "subjectAltName=$1" 2>/dev/null || { echo "not ok ${what#test_}_certificate"; exit 1; }
}
