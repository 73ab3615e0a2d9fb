#!/bin/bash
# The relay's program on loopback of a network namespace of its own: options, exit codes, health, its portal's moods (spec 50 §7, items
# 15, 47-50, 52-56). The portal is a stub that does as told; a real one is in the other tests of this ring.
#
# needs: root
# packages: curl:curl python3:python3 ip:iproute2
# timeout: 300
# timed: it answers within a quarter of a second
# lasts: 22
. "$(dirname "$0")/../lib.sh"
cd "$ROOT" || exit
own_network
unset FIREZONE_TOKEN FIREZONE_NAME FIREZONE_API_URL PUBLIC_IP4_ADDR PUBLIC_IP6_ADDR LISTEN_PORT RUST_LOG

http() { curl -s -o /dev/null -m 10 -w '%{http_code}' "$@"; }
is_ready() { [ "$(http http://127.0.0.1:8080/readyz)" = "$1" ]; }
logged() { grep -q "$1" "$work/portal.log"; }
ends_with() { # ends_with SECONDS STATUS: the relay
	timeout "$1" tail --pid="${PIDS[relay]}" -f /dev/null || { echo "  still there after $1 s"; return 1; }
	wait "${PIDS[relay]}"
	is $? "$2"
}
portal() { # a log of its own, emptied before anybody can have joined; our question below is not in it
	: >"$work/portal.log"
	launch stub python3 tests/e2e/stub_portal.py 13001 "$work/mode" "$work/portal.log"
	wait_for 200 curl -s -m 5 http://127.0.0.1:13001/ -o /dev/null
}

# ---- words on the command line

"$EMBERBOX" relay --help >"$work/out" && grep -q 'public-ip4-addr' "$work/out" && grep -q 'Examples' "$work/out"
verdict relay_help_teaches_by_example $?
"$EMBERBOX" relay --user a:b >"$work/out" 2>&1
{ is $? 1 && grep -q 'public-ip4-addr' "$work/out"; }
verdict spec50_49_no_public_address_is_1 $?
"$EMBERBOX" relay --no-such-option >"$work/out" 2>&1
{ is $? 2 && grep -q -- '--no-such-option' "$work/out"; }
verdict relay_unknown_option_names_itself $?
"$EMBERBOX" relay --public-ip4-addr 300.1.2.3 --user a:b >"$work/out" 2>&1
{ is $? 2 && grep -q '300.1.2.3' "$work/out"; }
verdict relay_bad_value_names_itself $?
"$EMBERBOX" relay --public-ip4-addr 127.0.0.1 --api-url ws://127.0.0.1:1 >"$work/out" 2>&1
{ is $? 2 && grep -qi 'token' "$work/out"; }
verdict relay_missing_token_is_told $?
"$EMBERBOX" relay --public-ip4-addr 127.0.0.1 --user a:b --api-url ws://127.0.0.1:1 >"$work/out" 2>&1
is $? 2
verdict relay_portal_and_standalone_exclude_each_other $?
"$EMBERBOX" relay --public-ip4-addr 127.0.0.1 --bind-ip4-addr 203.0.113.99 --user a:b >"$work/out" 2>&1
{ is $? 1 && grep -q '203.0.113.99' "$work/out"; }
verdict relay_foreign_bind_address_is_told $?
"$EMBERBOX" relay --public-ip4-addr 127.0.0.1 --api-url ws://127.0.0.1:1 /dev/null >"$work/out" 2>&1
[ $? -ne 0 ] && ! grep -q 'listening' "$work/out"
verdict relay_empty_token_file_is_refused $?

# ---- alone

python3 tests/e2e/stun_probe.py 127.0.0.1 3478 wait 30 >"$work/answered" 2>"$work/asking" &
probe=$!
wait_for 200 grep -q asking "$work/asking"
start=$EPOCHREALTIME
launch relay "$EMBERBOX" relay --public-ip4-addr 127.0.0.1 --user alice:wonderland --allow-loopback-peers
wait $probe
verdict spec50_56_listens_on_3478 $?
took=$(awk -v a="$start" -v b="$(cat "$work/answered")" 'BEGIN { printf "%d", (b - a) * 1000 }')
echo "  first STUN answer $took ms after the start (goal 15 on an idle machine)"
[ "$took" -lt 250 ]
verdict relay_answers_at_once $?
is "$(http http://127.0.0.1:8080/healthz) $(http http://127.0.0.1:8080/readyz) $(http http://127.0.0.1:8080/other)" "200 200 404"
verdict relay_alone_is_ready $?
"$EMBERBOX" relay --public-ip4-addr 127.0.0.1 --user a:b >"$work/out" 2>&1
{ is $? 1 && grep -q '3478.*in use' "$work/out"; }
verdict relay_port_in_use_is_told $?
is "$(http -X POST 'http://127.0.0.1:9999/log_filter?directives=relay%3Ddebug')" 200 &&
	is "$(http -X POST 'http://127.0.0.1:9999/log_filter?directives=relay=loud')" 400 &&
	is "$(http 'http://127.0.0.1:9999/log_filter?directives=info')" 404
verdict relay_log_filter_changes_at_run_time $?
curl -s http://127.0.0.1:9999/metrics >"$work/metrics"
grep -qx 'allocations_total 0' "$work/metrics" && grep -qE '^responses_total\{response_class="success"\} [1-9]' "$work/metrics" &&
	grep -qx 'data_relayed_userspace_bytes 0' "$work/metrics"
verdict relay_metrics_can_be_scraped $?
read -r answered asked < <(python3 tests/e2e/stun_probe.py 127.0.0.1 3478 flood 3)
echo "  under a flood of data: $answered of $asked requests answered"
[ "${asked:-0}" -gt 50 ] && [ $((answered * 100)) -ge $((asked * 98)) ]
verdict spec50_47_requests_are_answered_under_a_flood_of_data $?
rss=$(awk '/VmRSS/ { print $2 }' "/proc/${PIDS[relay]}/status")
kill -TERM "${PIDS[relay]}"
ends_with 20 0
verdict spec50_55_sigterm_is_0 $?
echo "  resident after the flood: $rss kB"

# ---- with a portal

echo ok >"$work/mode"
portal
printf ' tok\nen ' >"$work/token"
PUBLIC_IP4_ADDR=127.0.0.1 PUBLIC_IP6_ADDR=::1 LISTEN_PORT=4478 FIREZONE_API_URL=ws://127.0.0.1:13001 FIREZONE_TOKEN=$work/token \
	FIREZONE_NAME='my relay' LOG_FORMAT=json launch relay "$EMBERBOX" relay
wait_for 200 is_ready 200 && grep -q '/relay/websocket?name=my+relay&ipv4=127.0.0.1&ipv6=%3A%3A1&port=4478\|/relay/websocket?name=my%20relay&ipv4=127.0.0.1&ipv6=%3A%3A1&port=4478' "$work/portal.log" &&
	logged 'Bearer token"' && logged ' relay/0.1.0 (' && head -1 "$work/relay.log" | python3 -m json.tool >/dev/null
verdict spec50_48_flags_come_from_the_environment $?
secret=$(sed -n 's/.*"stamp_secret": "\([0-9a-f]*\)".*/\1/p' "$work/portal.log" | head -1)
is ${#secret} 64
verdict spec50_15_secret_is_64_hex_digits $?
grep -q "$secret" "$work/relay.log"
is $? 1
verdict relay_never_logs_its_secret $?

stop stub
wait_for 200 is_ready 503 && is "$(http http://127.0.0.1:8080/healthz)" 200 && python3 tests/e2e/stun_probe.py 127.0.0.1 4478 wait 10 >/dev/null 2>&1
verdict spec50_51_relays_on_without_its_portal $?
portal
wait_for 300 is_ready 200
verdict spec50_50_ready_follows_the_join_state $?
again=$(sed -n 's/.*"stamp_secret": "\([0-9a-f]*\)".*/\1/p' "$work/portal.log" | tail -1)
is "$again" "$secret"
verdict spec50_53_same_secret_after_a_reconnect $?

echo 401 >"$work/mode"
stop stub
portal
ends_with 30 1
verdict spec50_54_401_ends_with_1 $?
echo token_expired >"$work/mode"
launch relay "$EMBERBOX" relay --public-ip4-addr 127.0.0.1 --api-url ws://127.0.0.1:13001 token
ends_with 30 1
verdict spec50_54_token_expired_ends_with_1 $?
another=$(sed -n 's/.*"stamp_secret": "\([0-9a-f]*\)".*/\1/p' "$work/portal.log" | tail -1)
[ ${#another} = 64 ] && [ "$another" != "$secret" ]
verdict spec10_58_secret_is_fresh_per_process_and_constant_in_it $?
stop stub
start=$(date +%s)
launch relay "$EMBERBOX" relay --public-ip4-addr 127.0.0.1 --api-url ws://127.0.0.1:13001 token
python3 tests/e2e/stun_probe.py 127.0.0.1 3478 wait 10 >/dev/null 2>&1
verdict relay_serves_before_it_joined $?
ends_with 25 1
status=$? took=$(($(date +%s) - start))
[ $status = 0 ] && [ $took -ge 12 ] && [ $took -le 20 ]
verdict spec50_52_gives_up_the_first_connection_after_15_s $?
finish
