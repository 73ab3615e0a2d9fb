#!/bin/sh
# Puts resolvectl and systemd-resolved into FOLDER: unpack_resolved.sh FOLDER
#
# Those of the system when they are there; else the distribution's package is fetched and unpacked, not installed: installing it takes over
# the machine's DNS. Fails silently, leaving nothing, when there is neither.
set -eu
cd "$1"
if [ -x /usr/bin/resolvectl ] && [ -x /usr/lib/systemd/systemd-resolved ]; then
	ln -s /usr/bin/resolvectl /usr/lib/systemd/systemd-resolved .
	exit
fi
{
	apt-get -qq download systemd-resolved && dpkg-deb -x systemd-resolved_*.deb unpacked
	ln -s "$PWD/unpacked/usr/bin/resolvectl" .
	for daemon in unpacked/lib/systemd/systemd-resolved unpacked/usr/lib/systemd/systemd-resolved; do
		[ ! -x $daemon ] || ln -s "$PWD/$daemon" .
	done
} >/dev/null 2>&1
