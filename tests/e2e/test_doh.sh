#!/bin/bash
# The client asks a resolver over HTTPS that the portal names (spec 30 §10.4, item 55): found through the system's resolver, over HTTP/2 and
# over HTTP/1.1, kept connected while idle, killed in the middle, with a certificate that is not its own.
#
# needs: root
# packages: ip:iproute2 nft:nftables curl:curl python3:python3 unbound:unbound dig:dnsutils openssl:openssl
# timeout: 600
#
# relay2's place holds two resolvers on 203.0.113.66: the system's (port 53), which knows nothing but where dns.google is, and dns.google
# (port 443), unbound or a small server of python's http.server. The client's own DNS stays as it is; dig asks the sentinel: the second, for
# the first stood for the system's resolver until the portal named another.
. "$(dirname "$0")/lib.sh"

make_certificate() { # make_certificate NAME HOST
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$E2E/$1.key" -out "$E2E/$1.pem" -days 5 \
		-subj "/CN=$1" -addext "subjectAltName=DNS:$2" 2>/dev/null
}

unbound_conf() { # unbound_conf FILE LINES…
	printf '%s\n' 'server:' 'username: ""' 'chroot: ""' 'pidfile: ""' 'do-daemonize: no' 'use-syslog: no' 'module-config: "iterator"' \
		'do-not-query-localhost: no' 'access-control: 0.0.0.0/0 allow' "directory: \"$E2E\"" "${@:2}" 'remote-control:' 'control-enable: no' >"$1"
}

system_resolver() {
	unbound_conf "$E2E/system.conf" 'interface: 203.0.113.66' 'local-zone: "." static' 'local-data: "dns.google. A 203.0.113.66"'
	start system relay2 unbound -c "$E2E/system.conf"
	mkdir -p "/etc/netns/$P-client"
	printf 'nameserver 203.0.113.66\noptions timeout:2\n' >"/etc/netns/$P-client/resolv.conf"
	wait_for 200 asks 203.0.113.66 dns.google 203.0.113.66
}

# The silent zone's server is nobody.
doh_unbound() { # doh_unbound CERTIFICATE
	unbound_conf "$E2E/doh.conf" 'interface: 203.0.113.66@443' 'https-port: 443' 'http-endpoint: "/dns-query"' "tls-service-key: \"$E2E/$1.key\"" \
		"tls-service-pem: \"$E2E/$1.pem\"" 'msg-buffer-size: 65552' 'local-zone: "many.example." redirect' 'local-data: "many.example. A 192.0.2.7"' \
		'local-zone: "big.example." static' "$(for i in $(seq 240); do printf 'local-data: '"'"'big.example. TXT "%04d%0196d"'"'"'\n' "$i" 0; done)" \
		'stub-zone:' 'name: "silent.example."' 'stub-addr: 203.0.113.66@5309'
	start doh relay2 unbound -c "$E2E/doh.conf"
	listens
}

# HTTP/1.1 only: each query for a name is answered by 192.0.2.11.
doh_python() {
	start doh relay2 python3 -c "
import base64, http.server, ssl, urllib.parse
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        dns = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)['dns'][0]
        query = base64.urlsafe_b64decode(dns + '=' * (-len(dns) % 4))
        end = query.index(0, 12) + 5
        answer = query[:2] + b'\x81\x80' + b'\0\1\0\1\0\0\0\0' + query[12:end] + b'\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\x0b'
        print(self.client_address[1], flush=True)
        self.send_response(200)
        self.send_header('Content-Type', 'application/dns-message')
        self.send_header('Content-Length', str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *a): pass
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('$E2E/good.pem', '$E2E/good.key')
context.set_alpn_protocols(['http/1.1'])
server = http.server.ThreadingHTTPServer(('203.0.113.66', 443), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()"
	listens
}
listens() { wait_for 150 in_ns relay2 bash -c 'exec 3<>/dev/tcp/203.0.113.66/443'; }

n=0
asks() { # asks SERVER NAME ADDRESS
	[ "$(in_ns client dig +short +time=20 +tries=1 "@$1" "$2" A 2>/dev/null)" = "$3" ]
}
answers() { # answers ADDRESS: a name that was never asked for
	n=$((n + 1))
	asks 100.100.111.2 "q$n.many.example" "$1"
}
rcode_is() { # rcode_is RCODE NAME
	in_ns client dig +time=20 +tries=1 @100.100.111.2 "$2" A 2>/dev/null | grep -q "status: $1"
}
connections() { in_ns client ss -Htn state established 'dport = 443'; }
one_connection() { [ "$(connections | wc -l)" = 1 ]; }
hundred() {
	local names
	names=$(for i in $(seq 100); do echo "h$i.many.example"; done)
	# shellcheck disable=SC2086
	[ "$(in_ns client xargs -P 20 -n 1 dig +short +time=20 +tries=1 @100.100.111.2 <<<"$names" | grep -cx 192.0.2.7)" = 100 ]
}
big() { [ "$(in_ns client dig +tcp +time=20 +tries=1 @100.100.111.2 big.example TXT | grep -c 'IN.TXT')" -ge 240 ]; }
# Longer than a ping and its answer take, twice; a machine that starves one of both for a second makes it lose the first try.
stays() {
	local attempt before
	for attempt in 1 2 3; do
		answers 192.0.2.7 && before=$(connections) && sleep 12 && answers 192.0.2.7 && [ "$before" = "$(connections)" ] && return
	done
	return 1
}
killed() { # the query in flight is answered although the resolver is dead
	in_ns client dig +time=30 +tries=1 @100.100.111.2 pending.silent.example A >"$E2E/pending" 2>&1 &
	local dig=$!
	sleep 1
	stop doh KILL
	wait $dig
	grep -q 'status: SERVFAIL' "$E2E/pending"
}

must make_certificate good dns.google
must make_certificate other other.example
cat "$E2E/good.pem" >"$E2E/roots.pem"
export SSL_CERT_FILE=$E2E/roots.pem

must internet none none
must system_resolver
must doh_unbound good
must start_portal
must admin account update acme --dns secure:google >"$E2E/portal-more.log"
start_client
must wait_for 150 ip -n "$P-client" addr show dev tun-firezone up

check spec30_55_resolver_over_https_answers wait_for 50 answers 192.0.2.7
check spec30_55_hundred_queries hundred
check spec30_55_share_one_connection one_connection
check answer_of_50_kb big
check spec30_55_connection_is_kept_while_idle stays
check spec30_55_killed_in_the_middle_is_servfail killed
check dead_resolver_is_servfail rcode_is SERVFAIL dead.many.example
must doh_unbound good
check resolver_that_comes_back_is_used wait_for 100 answers 192.0.2.7
stop doh
must doh_python
check http_1_1_is_spoken_where_nothing_else_is wait_for 100 answers 192.0.2.11
stop doh KILL
must doh_unbound other
check resolver_with_another_certificate_is_not_believed rcode_is SERVFAIL other.many.example
check and_the_log_says_why wait_log client 'certificate is self-signed or from an unknown authority|another name' 30
stop doh
check client_ends_with_0 eval 'stop client; [ $? -eq 0 ]'
finish
