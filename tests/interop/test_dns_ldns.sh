#!/bin/bash
# Our DNS codec against ldns (tests/interop/ldns/dns_ldns.c says how): generated and damaged messages, verdict and content. No network.
#
# packages: gcc:gcc /usr/include/ldns/ldns.h:libldns-dev
# timeout: 1200
#
# DNS_MESSAGES (40000) of each kind, each in four stages of decay; DNS_SEED (1) begins elsewhere. The last tests let our side lie on
# purpose: a comparison that then still agrees proves nothing.
set -u
cd "$(dirname "$0")/../.." || exit 1
work=${SCRATCH:-$(mktemp -d)}

gcc -std=gnu11 -D_GNU_SOURCE -I. -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all tests/interop/ldns/dns_ldns.c \
	core/dns/name.c core/dns/message.c core/base/rng.c -lldns -o "$work/dns_ldns" || { echo "not ok dns_ldns: does not build"; exit 1; }
"$work/dns_ldns" "${DNS_MESSAGES:-40000}" "${DNS_SEED:-1}" || echo "# the seed was ${DNS_SEED:-1}"
for lie in accept reject ttl name text data edns; do
	if "$work/dns_ldns" 500 1 $lie >"$work/lie" 2>&1; then
		echo "not ok dns_ldns_notices_$lie"
	elif grep -q '^not ok' "$work/lie"; then
		echo "ok dns_ldns_notices_$lie"
	else
		echo "not ok dns_ldns_notices_$lie: it died"
		cat "$work/lie"
	fi
done
exit 0
