#!/bin/sh
# The table of `make size`: size.sh APPLET... : stripped bytes, text, data and bss of each single applet, of client + relay and of all.
set -eu
REMAKE=${REMAKE:-make}
row() {
	$REMAKE --no-print-directory -s V=1 APPLETS="$*" >/dev/null
	binary=$($REMAKE --no-print-directory -s APPLETS="$*" print-binary)
	# shellcheck disable=SC2046
	printf '%-40s %10d %10d %8d %8d\n' "$*" "$(wc -c <"$binary")" $(size "$binary" | awk 'NR == 2 { print $1, $2, $3 }')
}
printf '%-40s %10s %10s %8s %8s\n' applets bytes text data bss
for applet; do
	row "$applet"
done
case " $* " in
*" client "*" relay "* | *" relay "*" client "*) row client relay ;;
esac
[ $# -lt 2 ] || row "$@"
