#!/bin/bash
# Our WebSocket and Phoenix code against others': the portal's end against the phoenix npm client and python's websockets, a peer's end
# against a server of websockets (spec 10 §1.3, §3; items 8, 15-18, 22, 25).
#
# packages: /usr/lib/python3/dist-packages/websockets:python3-websockets openssl:openssl
# timeout: 400
#
# The npm packages are fetched once into $PHOENIX_NPM_DIR (default build/interop/npm); where npm or the registry is not to be had,
# their tests are skipped. All traffic stays on loopback.
. "$(dirname "$0")/lib.sh"
needs_driver phx_driver
npm_dir=${PHOENIX_NPM_DIR:-$ROOT/build/interop/npm}

# --- portal's end -------------------------------------------------------------------------------------------------------------
certificate IP:127.0.0.1,DNS:localhost
launch plain "$driver" serve
must wait_log plain '^listening'
port=$(sed -n 's/^listening //p' "$work/plain.log")
launch tls "$driver" serve "$work/cert.pem" "$work/key.pem"
must wait_log tls '^listening'
tls_port=$(sed -n 's/^listening //p' "$work/tls.log")

/usr/bin/python3 tests/interop/websocket_client.py "ws://127.0.0.1:$port" - || not_ok websocket_py_ws
/usr/bin/python3 tests/interop/websocket_client.py "wss://localhost:$tls_port" "$work/cert.pem" || not_ok websocket_py_wss

if npm_packages "$npm_dir" phoenix@1.8.1 ws@8.18.0; then
	timeout 300 node tests/interop/phoenix_client.mjs "$npm_dir" "ws://127.0.0.1:$port" || not_ok phoenix_npm_client
else
	skip phoenix_npm "the phoenix package cannot be had"
fi

# --- a peer's end ----------------------------------------------------------------------------------------------------------------
launch server /usr/bin/python3 tests/interop/websocket_server.py
must wait_log server '^port'
server_port=$(sed -n 's/^port //p' "$work/server.log")
launch link "$driver" connect "ws://127.0.0.1:$server_port/"
check_log websocket_link_upgrades server '^path /gateway/websocket\?external_id=driver&name=dr\+iver&public_key=BQ.*%3D$'
check_log spec10_15_websocket_link_joins_first server '^phx_join 0$'
check_log websocket_link_reads_a_large_init_in_fragments link '^message init$'
check_log websocket_link_sends_after_the_join server '^flow_authorized 1$'
check_log websocket_link_sends_large_messages server '^candidates 100$'
check_log spec10_22_websocket_link_answers_close link '^disconnected the portal closed the connection \(code 1012\)$'
joined_twice() { [ "$(grep -c '^phx_join 0$' "$work/server.log")" -ge 2 ]; }
check websocket_link_comes_back wait_for 300 joined_twice
finish
