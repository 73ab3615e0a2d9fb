#!/bin/bash
# The portal's HTTP side over real sockets: health in its four states, answers that survive what was sent too much, TLS, many requests on one
# connection, going down in order.
# needs: root
# packages: ip:iproute2 curl:curl python3:python3 openssl:openssl
# timeout: 400
# timed: sockets are closed by the clock, and those who hold them must hear it
. "$(dirname "$0")/lib.sh"
must place portal

DIR=$E2E/state
PORTAL="$EMBERBOX portal --dir $DIR"
BASE=http://127.0.0.1:13001
must $PORTAL init >/dev/null
must $PORTAL account add --name Acme --admin-email jo@acme.example >/dev/null

serve() { # serve [OPTIONS]
	start portal portal "$EMBERBOX" portal --dir "$DIR" serve --listen 127.0.0.1:13001 --log-format json "$@"
}
ready() { wait_log portal 'portal is ready' 30; }
curls() { in_ns portal curl -sk --max-time 20 "$@"; }
status() { curls -o "$E2E/body" -D "$E2E/head" -w '%{http_code}' "$@"; }
says() { # says STATUS PATTERN CURL-ARGUMENTS…
	local want=$1 pattern=$2 got
	shift 2
	got=$(status "$@")
	[ "$got" = "$want" ] && grep -qi -- "$pattern" "$E2E/head" "$E2E/body" || {
		echo "status $got, wanted $want with $pattern: $(cat "$E2E/head" "$E2E/body" 2>/dev/null | head -c 600)"
		return 1
	}
}

# ---- the four states -------------------------------------------------------------------------------------------------------------

# Whoever works in the directory holds its lock; the portal waits, and says so.
starting() {
	exec 8>>"$DIR/lock" && flock 8 || return
	serve --draining-file "$E2E/draining" 8>&- && wait_log portal listening 30 &&
		says 503 '"starting"' $BASE/readyz && says 200 '"ok"' $BASE/healthz && says 503 'retry-after: 1' $BASE/acme
	local rc=$?
	exec 8>&-
	[ $rc = 0 ] && ready && says 200 '"ready"' $BASE/readyz
}
check spec60_60_starting_is_said_until_the_store_is_open starting
draining() {
	touch "$E2E/draining" && says 503 '"draining"' $BASE/readyz && says 200 '"ok"' $BASE/healthz && rm "$E2E/draining" && says 200 '"ready"' $BASE/readyz
}
check spec60_60_draining_while_the_file_is_there draining
check metrics_are_told_to_this_machine says 200 'emberbox_portal_http_requests_total{area="plain",status="2xx"}' $BASE/metrics
check metrics_are_not_told_through_a_proxy says 404 'not found' -H 'X-Forwarded-For: 127.0.0.1' $BASE/metrics

# ---- what was sent too much ----------------------------------------------------------------------------------------------------------

head -c 3000000 /dev/zero >"$E2E/big"
check a_body_too_large_gets_its_answer says 413 'connection: close' -H 'Expect:' --data-binary @"$E2E/big" $BASE/
check a_body_too_large_in_chunks_gets_its_answer says 413 'connection: close' -H 'Expect:' -H 'Transfer-Encoding: chunked' --data-binary @"$E2E/big" $BASE/
check a_body_that_asks_first_is_not_sent says 413 'connection: close' -H 'Expect: 100-continue' --data-binary @"$E2E/big" $BASE/

many() {
	local urls=() i
	for ((i = 0; i < 50; i++)); do urls+=("$BASE/healthz?$i"); done
	[ "$(curls -w '%{num_connects}\n' -o /dev/null "${urls[@]}" | awk '{ n += $1 } END { print NR, n }')" = "50 1" ]
}
check fifty_requests_on_one_connection many

limited() {
	# one a second is let through, so which of them are refused is the clock's choice
	curls -i "$BASE/nothing?[1-400]" | tr -d '\r' >"$E2E/many"
	grep -q 'HTTP/1.1 429' "$E2E/many" && grep -qi '^retry-after: [0-9]' "$E2E/many" && says 200 '"ready"' $BASE/readyz
}
check spec60_60_pages_are_limited_and_health_is_not limited
check sigterm_ends_with_0 stop portal
check the_log_has_no_query bash -c "grep -q '\"path\":\"/nothing\"' $E2E/portal*.log && ! grep -q 'healthz?' $E2E/portal*.log"

# ---- TLS, and the end ----------------------------------------------------------------------------------------------------------------

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$E2E/key.pem" -out "$E2E/cert.pem" -days 30 -subj /CN=portal >/dev/null 2>&1
BASE=https://127.0.0.1:13001
over_tls() {
	serve --tls-cert "$E2E/cert.pem" --tls-key "$E2E/key.pem" --web-url https://portal.example/ --socket-capacity 1000 --socket-refill-rate 1000 && ready &&
		says 404 'strict-transport-security: max-age=63072000; includeSubDomains; preload' $BASE/nothing &&
		says 413 'connection: close' -H 'Expect:' --data-binary @"$E2E/big" $BASE/ && many
}
check pages_over_tls over_tls

# 700 sockets over TLS, more than one batch, and one request that never ends.
cat >"$E2E/sockets.py" <<'END'
import base64, json, socket, ssl, sys, time
token, n = sys.argv[1], int(sys.argv[2])
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.maximum_version = ssl.TLSVersion.TLSv1_2
def dial():
    return context.wrap_socket(socket.create_connection(("127.0.0.1", 13001), 20))
def read(s, want):
    got = b""
    while want not in got:
        got += s.recv(1) or sys.exit("ended: %r" % got)
def masked(**message):
    text = json.dumps(message).encode()
    return bytes([0x81, 0x80 | len(text)]) + bytes(4) + text
sockets, beat = [], time.monotonic()
for i in range(n):
    if time.monotonic() - beat > 15:  # a machine that needs long for all of them keeps the first ones alive
        beat = time.monotonic()
        for s in sockets:
            s.sendall(masked(topic="phoenix", event="heartbeat", payload={}, ref="2"))
    key = base64.b64encode(i.to_bytes(4, "big") + bytes(28)).decode().replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    s = dial()
    s.sendall((f"GET /client/websocket?vsn=1.0.0&token={token}&external_id=d{i}&name=d{i}&public_key={key} HTTP/1.1\r\nHost: x\r\n"
               "User-Agent: Linux/6 headless-client/1.5.8\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n").encode())
    read(s, b"\r\n\r\n")
    s.sendall(masked(topic="client", event="phx_join", payload={}, ref="1", join_ref="1"))
    sockets.append(s)
slow = dial()
slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx")
print("connected", flush=True)
sys.stdin.readline()
began, clean = time.time(), 0
for s in sockets:
    s.settimeout(40)
    got = b""
    try:
        while b"\x88\x02\x03\xf4" not in got:  # Close, 1012
            piece = s.recv(65536)
            if not piece:
                break
            got += piece
        if b"\x88\x02\x03\xf4" in got:
            s.sendall(b"\x88\x82\0\0\0\0\x03\xf4")
            clean += 1
    except OSError as e:
        print(e)
print(clean, "of", n, "closed with 1012 in %.1f s" % (time.time() - began))
sys.exit(clean != n)
END
goes_down() {
	local token fifo=$E2E/fifo began pid
	token=$($PORTAL token add --actor jo@acme.example | awk '$1 == "token" { print $2 }')
	mkfifo "$fifo"
	in_ns portal python3 "$E2E/sockets.py" "$token" 700 <"$fifo" >"$E2E/sockets.log" 2>&1 &
	pid=$!
	exec 7>"$fifo"
	wait_log sockets connected 250 || return
	began=$SECONDS
	kill "${PIDS[portal]}" && echo >&7
	wait "$pid" || { cat "$E2E/sockets.log" && return 1; }
	exec 7>&-
	stop portal && tail -n 1 "$E2E/sockets.log" && [ $((SECONDS - began)) -le 40 ]
}
check spec60_61_sockets_are_closed_cleanly_within_40_s goes_down

finish
