#!/bin/bash
# Every way a packet can take, and hosts with one IP family only.
# needs: root
# packages: ip:iproute2 nft:nftables curl:curl python3:python3
. "$(dirname "$0")/lib.sh"

# Each world is a process of its own: namespaces are named after it.
if [ $# -eq 0 ]; then
	rc=0
	for way in direct relayed ipv6_client ipv4_gateway; do bash "$0" $way || rc=1; done
	trap - EXIT
	cleanup
	exit $rc
fi

whole_download() { # whole_download URL
	head -c 5M /dev/urandom >"$E2E/www/file"
	fetch "$1" && cmp "$E2E/fetched" "$E2E/www/file"
}
took() { grep -oE 'path=[^=]* local=' "$E2E/client.log" | tail -n 1 | grep -qE "path=$1"; }

# What an admin sees on a page: the gateway reports some seconds after the connection came.
page_says() { # page_says PATH PATTERN
	local link
	link=$(admin link add --actor jo@acme.example --json | grep -o 'auth/link/[^"]*')
	in_ns portal python3 "$ROOT/tests/e2e/portal_page.py" "http://localhost:13001/$link" "/acme/$1" 60 "$2"
}
client_page() { echo "clients/$(admin client show client --json | grep -oE '"id": ?"[^"]*"' | head -n 1 | cut -d'"' -f4)"; }

SUITE=paths_$1
case $1 in
direct)
	world cone cone
	check download whole_download http://10.9.0.80/file
	check path_is_direct wait_for 100 took direct
	check page_of_the_client_says_direct page_says "$(client_page)" 'direct ([0-9]+|under 1) ms through gateway'
	check round_trip in_ns client ping -c 3 -i 0.2 -W 10 10.9.0.80
	;;
relayed)
	world symmetric symmetric
	check download whole_download http://10.9.0.80/file
	check path_is_relayed took relayed
	check page_of_the_client_says_relayed page_says "$(client_page)" 'relayed ([0-9]+|under 1) ms through gateway'
	;;
ipv6_client)
	# The portal and the relay have both families, the gateway too; the client's host has IPv6 alone.
	API_URL='ws://[2001:db8:1::2]:13001'
	CLIENT_STACK=6 GATEWAY_STACK=dual
	world none none
	check spec20_1_works_with_one_family_only fetch http://10.9.0.80/small
	check outer_path_is_ipv6 grep -qE 'path=.*remote=\[' "$E2E/client.log"
	;;
ipv4_gateway)
	CLIENT_STACK=dual GATEWAY_STACK=4
	world cone cone
	check spec40_11_keeps_running_with_one_family fetch http://10.9.0.80/small
	;;
esac
finish
