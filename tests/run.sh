#!/bin/sh
# Runs test programs and scripts one after the other and sums them up: run.sh PROGRAM...
#
# A program prints a line for each failing test and, last, `N passed, N failed[, N skipped]`. A script (*.sh) prints `ok NAME`,
# `not ok NAME` or `skip NAME: reason` for each of its tests, and whatever else explains them. One that dies, hangs or says nothing
# counts as one more failed test. Nobody gets input.
#
# What a script needs stands in comments of its head:
#	# needs: root                             without it the script counts as skipped
#	# packages: turnserver:coturn dig:dnsutils  FILE:PACKAGE as in contrib/build/tools.sh; `make check` installs them
#	# timeout: 600                            seconds, instead of 300
# and it finds the binary in $EMBERBOX and a scratch folder, removed afterwards, in $SCRATCH.
set -u
passed=0 failed=0 skipped=0
work=$(mktemp -d) && chmod 755 "$work" || exit 1 # programs that gave up root find what lies below
child= others=
trap 'rm -rf "$work"' EXIT
trap 'kill $child $others 2>/dev/null; exit 130' INT TERM
out=$work/out

head_of() { # head_of SCRIPT KEY: the words behind `# KEY:`
	sed -n "/^\$/q; s/^# $2: *//p" "$1" | tr '\n' ' '
}

# Runs in the background so that a signal to us reaches it too.
run() {
	limit=$1
	shift
	timeout -k 10 "$limit" "$@" >"$out" 2>&1 </dev/null &
	child=$!
	wait $child
	rc=$?
	child=
}

add() { passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3)); }

died() { # what it means when a program ends with status $rc
	if [ "$rc" -eq 124 ] || [ "$rc" -eq 137 ]; then echo "FAIL $1: still running after $2 s"; else echo "FAIL $1: ended with status $rc"; fi
}

run_program() {
	run "${TEST_TIMEOUT:-300}" "$1"
	summary=$(grep -aE '^[0-9]+ passed, [0-9]+ failed' "$out" | tail -n 1)
	p=0 f=0 s=0
	[ -n "$summary" ] && read -r p _ f _ s _ <<-END
		$summary
	END
	f=${f%,} s=${s:-0}
	if { [ "$rc" -ne 0 ] && [ "$f" -eq 0 ]; } || [ -z "$summary" ]; then
		f=$((f + 1))
		died "$1" "${TEST_TIMEOUT:-300}"
	fi
	[ "$f" -gt 0 ] && { echo "--- $1"; grep -avxF -- "${summary:-none}" "$out" | tail -n 80; }
	add "$p" "$f" "$s"
}

run_script() {
	if [ "$(id -u)" -ne 0 ] && head_of "$1" needs | grep -qw root; then
		echo "skip $1: needs root"
		add 0 0 1
		return
	fi
	lacking=$(for entry in $(head_of "$1" packages); do
		"${0%/*}/../contrib/build/tools.sh" --have "$entry" || echo "${entry#*:}"
	done)
	if [ -n "$lacking" ]; then
		if [ "$(id -u)" -eq 0 ]; then
			echo "not ok $1: missing:" $lacking
			add 0 1 0
		else
			echo "skip $1: missing:" $lacking
			add 0 0 1
		fi
		return
	fi
	limit=$(head_of "$1" timeout)
	limit=${limit:-300}
	mkdir -p "$work/scratch"
	began=$(date +%s)
	SCRATCH=$work/scratch run $limit "$1"
	rm -rf "$work/scratch"
	p=$(grep -acE '^ok ' "$out")
	f=$(grep -acE '^not ok ' "$out")
	s=$(grep -acE '^skip ' "$out")
	if { [ "$rc" -ne 0 ] && [ "$f" -eq 0 ]; } || [ $((p + f + s)) -eq 0 ]; then
		f=$((f + 1))
		died "$1" $limit
	fi
	if [ "$f" -gt 0 ]; then
		echo "--- $1"
		tail -n 200 "$out"
	else
		grep -aE '^(skip|note) ' "$out"
	fi
	echo "    $1: $p passed, $f failed, $s skipped, $(($(date +%s) - began)) s"
	add "$p" "$f" "$s"
}

# Scripts wait more than they compute and stay in namespaces of their own: JOBS of them at a time, each in a run.sh of its own whose
# output appears when it is through.
is_running() { kill -0 "$1" 2>/dev/null; }

running() {
	count=0
	for pid in $others; do is_running "$pid" && count=$((count + 1)); done
	echo $count
}

show() { # show N: what the N-th said, its sum left out and added
	sed '$d' "$work/$1.out"
	p=0 f=1 s=0
	read -r p _ f _ s _ <<-END
		$(tail -n 1 "$work/$1.out" | grep -aE '^[0-9]+ passed, [0-9]+ failed' || echo '0 passed, 1 failed')
	END
	f=${f%,}
	add "$p" "$f" "${s:-0}"
}

run_together() {
	n=0 shown=0
	for script; do
		while [ "$(running)" -ge "$JOBS" ]; do sleep 0.2; done
		n=$((n + 1))
		JOBS=1 "$0" "$script" >"$work/$n.out" 2>&1 </dev/null &
		others="$others $!"
	done
	for pid in $others; do
		wait "$pid"
		shown=$((shown + 1))
		show $shown
	done
	others=
}

JOBS=${JOBS:-$(nproc)}
scripts=
for program; do
	case $program in
	*.sh) scripts="$scripts $program" ;;
	*) run_program "$program" ;;
	esac
done
if [ "$JOBS" -gt 1 ] && [ "$(echo $scripts | wc -w)" -gt 1 ]; then
	run_together $scripts
else
	for script in $scripts; do run_script "$script"; done
fi
tail=
[ "$skipped" -gt 0 ] && tail=", $skipped skipped"
echo "$passed passed, $failed failed$tail"
[ "$failed" -eq 0 ]
