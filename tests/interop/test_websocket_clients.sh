#!/bin/bash
# Our WebSocket and Phoenix code against others': the portal's end against the phoenix npm client and python's websockets, a peer's end
# against a server of websockets (spec 10 §1.3, §3; items 8, 15-18, 22, 25).
#
# packages: /usr/lib/python3/dist-packages/websockets:python3-websockets openssl:openssl
# timeout: 240
#
# The npm packages are fetched once into $PHOENIX_NPM_DIR (default build/interop/npm); where npm or the registry is not to be had,
# their tests are skipped. All traffic stays on loopback.
set -u
cd "$(dirname "$0")/../.."
driver=${INTEROP_BIN:-$PWD/build/static/tests/interop}/phx_driver
npm_dir=${PHOENIX_NPM_DIR:-$PWD/build/interop/npm}
phoenix=phoenix@1.8.1 ws=ws@8.18.0
work=${SCRATCH:-$(mktemp -d)}
pids=

cleanup() {
	for p in $pids; do kill "$p" 2>/dev/null; done
	[ -n "${SCRATCH:-}" ] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fail() { echo "not ok websocket_setup: $1"; exit 1; }

start() { # start LOG COMMAND...: in the background, its words in LOG
	log=$1
	shift
	"$@" >"$log" 2>&1 </dev/null &
	pids="$pids $!"
}

wait_for() { # wait_for LOG PATTERN [SECONDS]
	for _ in $(seq $((${3:-10} * 20))); do
		grep -q -- "$2" "$1" && return 0
		sleep 0.05
	done
	return 1
}

check() { # check NAME LOG PATTERN
	if wait_for "$2" "$3"; then echo "ok $1"; else echo "not ok $1"; sed 's/^/    /' "$2"; fi
}

# --- portal's end -------------------------------------------------------------------------------------------------------------
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -days 2 \
	-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1,DNS:localhost 2>/dev/null || fail "openssl"

start "$work/plain.log" "$driver" serve
wait_for "$work/plain.log" '^listening' || fail "the driver does not listen"
port=$(sed -n 's/^listening //p' "$work/plain.log")
start "$work/tls.log" "$driver" serve "$work/cert.pem" "$work/key.pem"
wait_for "$work/tls.log" '^listening' || fail "the driver does not listen with TLS"
tls_port=$(sed -n 's/^listening //p' "$work/tls.log")

/usr/bin/python3 tests/interop/websocket_client.py "ws://127.0.0.1:$port" - || echo "not ok websocket_py_ws"
/usr/bin/python3 tests/interop/websocket_client.py "wss://localhost:$tls_port" "$work/cert.pem" || echo "not ok websocket_py_wss"

get_npm_packages() {
	[ -e "$npm_dir/node_modules/phoenix" ] && [ -e "$npm_dir/node_modules/ws" ] && return
	if ! command -v npm >/dev/null; then
		DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends npm >/dev/null 2>&1 || return
	fi
	mkdir -p "$npm_dir" && timeout 120 npm install --prefix "$npm_dir" --no-audit --no-fund --silent $phoenix $ws >"$work/npm.log" 2>&1
}

if get_npm_packages && command -v node >/dev/null; then
	timeout 60 node tests/interop/phoenix_client.mjs "$npm_dir" "ws://127.0.0.1:$port" || echo "not ok phoenix_npm_client"
else
	echo "skip phoenix_npm: the phoenix package cannot be had"
fi

# --- a peer's end ----------------------------------------------------------------------------------------------------------------
start "$work/server.log" /usr/bin/python3 tests/interop/websocket_server.py
wait_for "$work/server.log" '^port' || fail "the python server does not listen"
server_port=$(sed -n 's/^port //p' "$work/server.log")
start "$work/link.log" "$driver" connect "ws://127.0.0.1:$server_port/"
check websocket_link_upgrades "$work/server.log" '^path /gateway/websocket?external_id=driver&name=dr+iver&public_key=BQ.*%3D$'
check spec10_15_websocket_link_joins_first "$work/server.log" '^phx_join 0$'
check websocket_link_reads_a_large_init_in_fragments "$work/link.log" '^message init$'
check websocket_link_sends_after_the_join "$work/server.log" '^flow_authorized 1$'
check websocket_link_sends_large_messages "$work/server.log" '^candidates 100$'
check spec10_22_websocket_link_answers_close "$work/link.log" '^disconnected the portal closed the connection (code 1012)$'
wait_for "$work/server.log" 'never' 1
if [ "$(grep -c '^phx_join 0$' "$work/server.log")" -ge 2 ]; then
	echo "ok websocket_link_comes_back"
else
	echo "not ok websocket_link_comes_back"
fi
