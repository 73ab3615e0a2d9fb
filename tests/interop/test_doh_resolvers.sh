#!/bin/bash
# Our DoH client (core/dns/doh.h) against real resolvers: unbound (HTTP/2 by nghttp2), dnsdist (HTTP/2 and HTTP/1.1 by h2o) and nginx before
# dnsdist (HTTP/2 that says GOAWAY, HTTP/1.1 only); a resolver that dies in the middle; one that demands TLS 1.3.
#
# needs: root
# packages: unbound:unbound dnsdist:dnsdist nginx:nginx-light openssl:openssl python3:python3-minimal ip:iproute2
# timeout: 600
#
# All on loopback of a network namespace of its own. doh_driver tells what happens.
. "$(dirname "$0")/resolvers.sh"
needs_driver doh_driver
PREFIX=doh_

# --- the servers ----------------------------------------------------------------------------------------------------------------------
certificate IP:127.0.0.1,DNS:resolver.test

unbound_answers 'http-endpoint: "/dns-query"' 'do-not-query-localhost: no' 'max-udp-size: 4096'
cat >"$work/dnsdist.conf" <<END
setLocal("127.0.0.1:5300")
setSecurityPollSuffix("")
setUDPTimeout(60)
newServer({address="127.0.0.1:5301"}):setUp()
newServer({address="127.0.0.1:5309", pool="void"}):setUp()
addAction("silent.example.", PoolAction("void"))
addDOHLocal("127.0.0.1:8444", "$work/cert.pem", "$work/key.pem", "/dns-query")
addDOHLocal("127.0.0.1:8080", nil, nil, "/dns-query")
END
cat >"$work/nginx.conf" <<END
daemon off;
user root;
worker_processes 1;
pid $work/nginx.pid;
error_log $work/nginx.error;
events {}
http {
	access_log off;
	client_body_temp_path $work/t1;
	proxy_temp_path $work/t2;
	fastcgi_temp_path $work/t3;
	uwsgi_temp_path $work/t4;
	scgi_temp_path $work/t5;
	ssl_certificate $work/cert.pem;
	ssl_certificate_key $work/key.pem;
	keepalive_requests 40;
	server {
		listen 127.0.0.1:8445 ssl http2;
		location / { proxy_pass http://127.0.0.1:8080; proxy_http_version 1.1; proxy_set_header Host \$host; proxy_set_header Connection ""; }
		location /html { default_type text/html; return 200 "<html>not DNS</html>"; }
	}
	server {
		listen 127.0.0.1:8446 ssl;
		location / { proxy_pass http://127.0.0.1:8080; proxy_http_version 1.1; proxy_set_header Host \$host; proxy_set_header Connection ""; }
		location /html { default_type text/html; return 200 "<html>not DNS</html>"; }
	}
}
END

launch_void
launch unbound unbound -c "$work/unbound.conf"
launch dnsdist dnsdist -C "$work/dnsdist.conf" --supervised
launch nginx nginx -c "$work/nginx.conf" -e "$work/nginx.error"
launch tls13 openssl s_server -accept 127.0.0.1:8447 -cert "$work/cert.pem" -key "$work/key.pem" -tls1_3 -www -quiet
must_listen 8443 8444 8445 8446 8447 8080

# --- the tests ------------------------------------------------------------------------------------------------------------------------
drive() { # drive PORT[/PATH] STEP...
	local where=$1
	shift
	case $where in */*) ;; *) where=$where/dns-query ;; esac
	"$driver" "https://127.0.0.1:$where" "$work/cert.pem" "$@" >"$work/driver.log" 2>&1
}
says() { grep -qxE -- "$1 *" "$work/driver.log"; }

for server in unbound:8443:h2 dnsdist:8444:h2 nginx:8445:h2 nginx_h1:8446:http/1.1; do
	IFS=: read -r name port version <<<"$server"
	drive "$port" ask host%.many.example 1 1 wait && says "open $version" && says "answered 1 failed 0, records 1"
	result "${name}_answers_over_${version//[\/.]/_}" $?
	drive "$port" ask big.example 16 1 wait && says "answered 1 failed 0, records 240"
	result "${name}_answers_with_50_kb" $?
done

# spec 30 item 55: GET with base64url and ID 0 is what these servers understand; the driver checks that ID 0 comes back
drive 8443 ask host%.many.example 1 500 wait close && says "answered 500 failed 0, records 500" && [ "$(grep -c '^open' "$work/driver.log")" = 1 ]
result spec30_55_unbound_takes_500_queries_on_one_connection $?
drive 8444 ask host%.many.example 1 500 wait close && says "answered 500 failed 0, records 500" && says closed
result spec30_55_dnsdist_takes_500_queries_on_one_connection $?

# nginx says GOAWAY (HTTP/2) or "Connection: close" (HTTP/1.1) with the 40th request; what it refused is reported, and asked anew goes through.
drive 8445 ask host%.many.example 1 39 wait ask host%.many.example 1 1 wait goaway ask host%.many.example 1 30 wait &&
	says "answered 70 failed 0, records 70" && [ "$(grep -c '^open h2' "$work/driver.log")" = 2 ]
result nginx_goaway_ends_a_connection_politely $?
drive 8445 ask host%.many.example 1 200 wait && grep -q '^closing' "$work/driver.log" &&
	[ "$(sed -n 's/^answered \([0-9]*\) failed \([0-9]*\),.*/\1 + \2/p' "$work/driver.log" | tail -1)" != "" ] &&
	[ "$(($(sed -n 's/^answered \([0-9]*\) failed \([0-9]*\),.*/\1 + \2/p' "$work/driver.log" | tail -1)))" = 200 ]
result nginx_goaway_in_the_middle_reports_every_query $?
drive 8446 ask host%.many.example 1 39 wait ask host%.many.example 1 1 wait ask host%.many.example 1 30 wait &&
	says "answered 70 failed 0, records 70" && [ "$(grep -c '^open http/1.1' "$work/driver.log")" = 2 ]
result nginx_http_1_1_connection_close_is_followed $?

for port in 8445 8446; do
	drive "$port/html" ask host%.many.example 1 3 wait && says "answered 0 failed 3, records 0" && says "lost: .*, status 200"
	result "page_of_html_is_no_answer_$port" $?
	drive "$port/nowhere" ask host%.many.example 1 3 wait && says "answered 0 failed 3, records 0" && says "lost: .*, status 404"
	result "status_404_is_no_answer_$port" $?
done

# Idle for longer than a ping and its answer take, twice. A resolver that the machine starves for a second is rightly thought dead: that
# does not happen three times.
keeps_idle() {
	local attempt
	for attempt in 1 2 3; do
		drive 8444 ask host%.many.example 1 1 wait sleep 11500 ask host%.many.example 1 1 wait &&
			says "answered 2 failed 0, records 2" && [ "$(grep -c '^open' "$work/driver.log")" = 1 ] && says "pings [2-9]" && return 0
	done
	return 1
}
keeps_idle
result spec30_55_pings_keep_an_idle_connection $?

drive 8447 ask host%.many.example 1 1 wait && says "answered 0 failed 1, records 0" && grep -q '^failed .*does not offer TLS 1.2' "$work/driver.log"
result resolver_with_tls_1_3_only_is_named_as_the_reason $?

# dies in the middle: queries without answer are pending, others were answered; then a new one takes over
"$driver" https://127.0.0.1:8444/dns-query "$work/cert.pem" ask host%.many.example 1 3 wait ask silent.example 1 20 wait >"$work/driver.log" 2>&1 &
victim=$!
wait_for 300 says "answered 3 failed 0, records 3"
sleep 1
stop dnsdist KILL
wait "$victim" && says "answered 3 failed 20, records 3" && grep -q '^failed' "$work/driver.log"
result spec30_55_resolver_killed_in_the_middle_fails_its_queries_at_once $?
drive 8444 ask host%.many.example 1 2 wait && says "answered 0 failed 2, records 0" && says "failed cannot connect"
result dead_resolver_fails_queries_at_once $?
launch dnsdist2 dnsdist -C "$work/dnsdist.conf" --supervised
must wait_for 300 listens 8444
drive 8444 ask host%.many.example 1 2 wait && says "answered 2 failed 0, records 2"
result resolver_that_came_back_is_used $?
finish
