#!/bin/sh
# Installs what is missing of a list, touches nothing when all is there: tools.sh FILE:PACKAGE...
#
# FILE is a command name or an absolute path (a `*` in it is matched) that PACKAGE of the distribution provides. On Debian as root
# the missing packages are installed in one call to apt-get; otherwise one message names them all. With --have in front nothing is
# installed; the status tells whether all is there.
set -eu

is_there() {
	case $1 in
	/*) set -- $1 && [ -e "$1" ] ;;
	*) command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] ;;
	esac
}

missing() {
	for entry; do
		is_there "${entry%%:*}" || printf '%s\n' "${entry#*:}"
	done | sort -u | tr '\n' ' '
}

if [ "${1:-}" = --have ]; then
	shift
	[ -z "$(missing "$@")" ]
	exit
fi
packages=$(missing "$@")
[ -n "$packages" ] || exit 0

if ! [ -e /etc/debian_version ] || ! command -v apt-get >/dev/null; then
	echo "emberbox: missing here: $packages(names of Debian packages). Install their equivalents and try again; the static
build needs Debian, elsewhere there is: make DEPS=system" >&2
	exit 1
elif [ "$(id -u)" -ne 0 ]; then
	echo "emberbox: missing packages: $packages
Install them as root:  apt-get install --no-install-recommends $packages" >&2
	exit 1
fi

echo "emberbox: installing $packages" >&2
# Packages bring services (coturn, for one); none shall start because of a build.
policy=/usr/sbin/policy-rc.d
if ! [ -e $policy ]; then
	trap 'rm -f $policy' EXIT
	trap 'exit 130' INT TERM
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
fi
install() {
	DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=120 install --no-install-recommends $packages \
		</dev/null >/dev/null
}
install 2>/dev/null || { apt-get -qq -o DPkg::Lock::Timeout=120 update </dev/null && install; } || {
	echo "emberbox: could not install: $packages" >&2
	exit 1
}
packages=$(missing "$@")
[ -z "$packages" ] || { echo "emberbox: still missing after the installation: $packages" >&2; exit 1; }
