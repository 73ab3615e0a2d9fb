# tests/lib.sh: what scripts of all rings share: a folder to work in, an end that leaves nothing behind, words that say how it went, programs in
# the background. Sourced by bash scripts, mostly through tests/e2e/lib.sh (namespaces) or tests/interop/lib.sh (other people's programs):
#
#	#!/bin/bash
#	# packages: curl:curl python3:python3
#	. "$(dirname "$0")/../lib.sh"
#	launch pages python3 -u -m http.server 8080     # its output in $work/pages.log
#	must wait_log pages 'Serving'
#	check they_are_served curl -fsS http://127.0.0.1:8080/
#	finish
#
# Afterwards: $ROOT is the tree, $EMBERBOX the binary, $SUITE the script's name without test_ and .sh; $work is a folder that is removed at exit
# (KEEP=1 keeps it). Each program that was launched is stopped at exit, also after Ctrl-C; what else is to be undone is a command in AT_END.
#
# Words: `check TEST CMD…` prints ok or not ok, `verdict TEST STATUS` the same for what is known already; both put $PREFIX before the name.
# `fail TEST [FILE]` and `must CMD…` end the script; `skip TEST REASON`; `finish` gives the exit status. `wait_for TENTHS CMD…`,
# `wait_log NAME PATTERN [SECONDS]`; `launch NAME CMD…`, `stop NAME [SIGNAL]`, ${PIDS[NAME]}.
set -u

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
EMBERBOX=${EMBERBOX:-$ROOT/build/static/all/emberbox}
SELF=$(realpath "$0")
SUITE=$(basename "$0" .sh)
SUITE=${SUITE#test_}
PREFIX=
work=${SCRATCH:+$SCRATCH/eb$$}
work=${work:-$(mktemp -d)}
mkdir -p "$work"
declare -A PIDS=()
AT_END=()
FAILED=0

# ---- the end first ----------------------------------------------------------------------------------------------------------

cleanup() {
	trap - EXIT INT TERM
	local name command
	for name in "${!PIDS[@]}"; do is_child "${PIDS[$name]}" && kill "${PIDS[$name]}" 2>/dev/null; done
	for name in "${!PIDS[@]}"; do await_end "${PIDS[$name]}" 20 || kill -9 "${PIDS[$name]}" 2>/dev/null; done
	for command in "${AT_END[@]}"; do $command; done
	[ -n "${KEEP:-}" ] && echo "note kept $work" || rm -rf "$work"
}
trap cleanup EXIT
trap 'cleanup; exit 130' INT
trap 'cleanup; exit 143' TERM

finish() { exit $((FAILED > 0)); }

# ---- saying how it went -----------------------------------------------------------------------------------------------------

ok() { echo "ok $PREFIX$1"; }
skip() { echo "skip $PREFIX$1: $2"; }
note() { echo "note $*"; }

# not_ok TEST [WHY]: with the last lines of everybody's log
not_ok() {
	FAILED=$((FAILED + 1))
	echo "not ok $PREFIX$1${2:+: $2}"
	local log
	for log in "$work"/*.log; do
		[[ $log == *.before.log || $log == *-setup.log ]] && continue
		[ -s "$log" ] && tail -n "${LOG_LINES:-12}" "$log" | sed "s|^|    $(basename "$log" .log): |"
	done
}

# check TEST CMD…: one test is one command that succeeds
check() {
	local test=$1
	shift
	if "$@" >"$work/check.out" 2>&1; then
		ok "$test"
	else
		not_ok "$test" "$*"
		tail -n "${CHECK_LINES:-10}" "$work/check.out" | sed 's/^/    /'
		return 1
	fi
}

# verdict TEST STATUS [FILE]: when it is bad, with the last lines of FILE, or of everybody's log
verdict() {
	if [ "$2" -eq 0 ]; then
		ok "$1"
	elif [ -z "${3:-}" ]; then
		not_ok "$1"
	else
		FAILED=$((FAILED + 1))
		echo "not ok $PREFIX$1"
		tail -n "${CHECK_LINES:-10}" "$3" | sed 's/^/    /'
	fi
}

fail() { # fail TEST [FILE]
	verdict "$1" 1 "${2:-}"
	finish
}

# Ends the script when the ground it stands on is missing: the rest would only repeat it.
must() {
	"$@" && return
	PREFIX=${SUITE}_ not_ok set_up "$*"
	finish
}

not() { ! "$@"; }
# is GOT WANTED
is() { [ "$1" = "$2" ] || { printf 'is: %s\nshould be: %s\n' "$1" "$2" && return 1; }; }

now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }

# wait_for TENTHS CMD…: so often at most, a tenth of a second apart
wait_for() {
	local tenths=$1
	shift
	while ! "$@" >/dev/null 2>&1; do
		tenths=$((tenths - 1))
		[ "$tenths" -gt 0 ] || return 1
		sleep 0.1
	done
}

# ---- processes --------------------------------------------------------------------------------------------------------------

is_alive() { kill -0 "$1" 2>/dev/null; }
# Of this shell: the number of one that ended may be somebody else's by now, who is not to be killed.
is_child() { [ "$(sed 's/.*) . //; s/ .*//' "/proc/$1/stat" 2>/dev/null)" = "$BASHPID" ]; }

# await_end PID TENTHS: of a child
await_end() {
	local i
	for ((i = 0; i < $2; i++)); do
		is_child "$1" || return 0
		sleep 0.1
	done
	! is_child "$1"
}

# launch NAME CMD…: what an earlier one of that name said moves to NAME.before.log, so that wait_log sees only the new one
launch() {
	local name=$1
	shift
	[ -s "$work/$name.log" ] && cat "$work/$name.log" >>"$work/$name.before.log"
	: >"$work/$name.log"
	"$@" >>"$work/$name.log" 2>&1 </dev/null &
	PIDS[$name]=$!
}

# stop NAME [SIGNAL]: the status it ended with, 124 when it had to be killed after 20 s
stop() {
	local pid=${PIDS[$1]:-}
	[ -n "$pid" ] || return 0
	unset "PIDS[$1]"
	is_child "$pid" && kill -"${2:-TERM}" "$pid" 2>/dev/null
	if [ "${2:-}" = KILL ]; then
		{ wait "$pid"; } 2>/dev/null # where bash would tell of it
		return 137
	fi
	if ! await_end "$pid" 200; then
		kill -9 "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
		return 124
	fi
	wait "$pid"
}

# wait_log NAME PATTERN [SECONDS, else $WAIT_SECS, else 30]: also false when the program ended before
wait_log() {
	local tenths=$((${3:-${WAIT_SECS:-30}} * 20))
	while ! grep -qE -- "$2" "$work/$1.log" 2>/dev/null; do
		tenths=$((tenths - 1))
		[ "$tenths" -gt 0 ] || return 1
		if [ -n "${PIDS[$1]:-}" ] && ! is_alive "${PIDS[$1]}"; then
			grep -qE -- "$2" "$work/$1.log"
			return
		fi
		sleep 0.05
	done
}

# Begins the script anew, in a network namespace of its own with a loopback device; to be called before anything is launched.
own_network() {
	if [ -z "${IN_NAMESPACE:-}" ]; then
		[ "$(id -u)" = 0 ] || { echo "skip $SUITE: needs root" && finish; }
		rm -rf "$work"
		IN_NAMESPACE=1 EMBERBOX=$EMBERBOX exec unshare -n --kill-child "$SELF"
	fi
	PATH=$PATH:/usr/sbin:/sbin
	ip link set lo up
}

# ---- small tools ------------------------------------------------------------------------------------------------------------

# Below those that connections get by themselves: one of somebody else could take it before our program does.
free_port() {
	python3 -c 'import random, socket
while True:
    port = random.randrange(10240, 32768)
    try:
        socket.create_server(("127.0.0.1", port)).close()
        break
    except OSError:
        pass
print(port)'
}

# field NAME: its value in the JSON of standard input, a line each
field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"; }

# npm_packages FOLDER NAME@VERSION…: they are there, or are fetched now; npm itself too
npm_packages() {
	local folder=$1
	shift
	mkdir -p "$folder" || return
	(
		flock 9
		has_packages "$folder" "$@" && exit
		command -v npm || DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends npm || exit
		timeout 180 npm install --prefix "$folder" --no-audit --no-fund --silent "$@"
	) 9>"$folder.lock" >"$work/npm.out" 2>&1
	has_packages "$folder" "$@" && command -v node >/dev/null
}
has_packages() {
	local folder=$1 package
	shift
	for package; do [ -e "$folder/node_modules/${package%@*}" ] || return; done
}

# python_package FOLDER NAME REQUIREMENT: it is in the virtual environment FOLDER, or is fetched now
python_package() {
	mkdir -p "${1%/*}" || return
	(
		flock 9
		"$1/bin/python" -c "import $2" || { python3 -m venv "$1" && timeout 240 "$1/bin/pip" -q install "$3"; }
	) 9>"$1.lock" >"$work/pip.out" 2>&1
	"$1/bin/python" -c "import $2" 2>/dev/null
}
