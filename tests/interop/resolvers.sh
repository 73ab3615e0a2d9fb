# Head of the tests that run resolvers on loopback: tests/interop/lib.sh in a network namespace of the script's own.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
own_network
chmod 755 "$work"
CHECK_LINES=15

result() { verdict "$1" "$2" "$work/driver.log"; } # result TEST STATUS: of what the driver did

# must_listen PORT…: somebody does, on each of them
must_listen() {
	local port
	for port; do must wait_for 300 listens "$port"; done
}
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# unbound_answers [LINE…]: $work/unbound.conf: an unbound on ports 5301 and, by HTTPS, 8443, that has an answer of 50 KB at big.example and any name
# below many.example
unbound_answers() {
	{
		cat <<-END
			server:
				interface: 127.0.0.1@5301
				interface: 127.0.0.1@8443
				https-port: 8443
				tls-service-key: "$work/key.pem"
				tls-service-pem: "$work/cert.pem"
				username: ""
				chroot: ""
				directory: "$work"
				pidfile: ""
				do-daemonize: no
				use-syslog: no
				verbosity: 1
				msg-buffer-size: 65552
				local-zone: "many.example." redirect
				local-data: "many.example. A 192.0.2.7"
				local-zone: "big.example." static
		END
		for i in $(seq 240); do printf '\tlocal-data: '"'"'big.example. TXT "%04d%0196d"'"'"'\n' "$i" 0; done
		[ $# = 0 ] || printf '\t%s\n' "$@"
		printf 'remote-control:\n\tcontrol-enable: no\n'
	} >"$work/unbound.conf"
}

# As `void`: takes queries on port 5309 and never answers.
launch_void() {
	launch void python3 -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 5309))
while True: s.recv(65536)'
}
