#!/bin/sh
# Runs test programs and scripts, several at a time, and sums them up: run.sh PROGRAM...
#
# A program prints a line for each failing test and, last, `N passed, N failed[, N skipped]`. A script (*.sh) prints `ok NAME`,
# `not ok NAME` or `skip NAME: reason` for each of its tests, and whatever else explains them. One that dies, hangs or says nothing
# counts as one more failed test. Nobody gets input. What each said appears as a whole, in the order they were begun.
#
# Programs compute: as many at a time as there are cores. Scripts wait more than they compute and keep to namespaces of their own: twice as
# many; JOBS=N sets both. Scripts with limits in milliseconds come after all others and one at a time: each would be a busy machine to the next.
#
# What a script needs stands in comments of its head:
#	# needs: root                             without it the script counts as skipped
#	# packages: turnserver:coturn dig:dnsutils  FILE:PACKAGE as in contrib/build/tools.sh; `make check` installs them
#	# timeout: 600                            seconds, instead of 300
#	# lasts: 90                               seconds, about: the longest are begun first
#	# timed: why                              has limits that a busy machine would break
# and it finds the binary in $EMBERBOX and a scratch folder, removed afterwards, in $SCRATCH.
set -u
passed=0 failed=0 skipped=0
work=$(mktemp -d) && chmod 755 "$work" || exit 1 # programs that gave up root find what lies below
child= workers=
trap 'rm -rf "$work"' EXIT
trap 'kill $workers 2>/dev/null; wait; exit 130' INT TERM

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
	run "${TEST_TIMEOUT:-900}" "$1"
	summary=$(grep -aE '^[0-9]+ passed, [0-9]+ failed' "$out" | tail -n 1)
	p=0 f=0 s=0
	[ -n "$summary" ] && read -r p _ f _ s _ <<-END
		$summary
	END
	f=${f%,} s=${s:-0}
	if { [ "$rc" -ne 0 ] && [ "$f" -eq 0 ]; } || [ -z "$summary" ]; then
		f=$((f + 1))
		died "$1" "${TEST_TIMEOUT:-900}"
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
	mkdir -p "$room/scratch"
	began=$(date +%s)
	SCRATCH=$room/scratch run $limit "$1"
	rm -rf "$room/scratch"
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

# Runs what nobody else has taken, each in a room, a folder of its own: said is what it said, sum its three numbers, which come last.
work_off() {
	trap '[ -n "$child" ] && kill $child && wait $child; exit 130' INT TERM
	trap - EXIT
	for program; do
		n=$((n + 1)) room=$work/$n out=$work/$n/out passed=0 failed=0 skipped=0
		mkdir "$room" 2>/dev/null || continue
		case $program in
		*.sh) run_script "$program" ;;
		*) run_program "$program" ;;
		esac >"$room/said" 2>&1
		echo $passed $failed $skipped >"$room/sum.new"
		mv "$room/sum.new" "$room/sum"
	done
}

started=0
run_together() { # run_together JOBS PROGRAM...
	jobs=$1 workers=
	shift
	while [ "$jobs" -gt 0 ]; do
		(n=$started && work_off "$@") &
		workers="$workers $!"
		jobs=$((jobs - 1))
	done
	for program; do
		started=$((started + 1)) room=$work/$started
		until [ -e "$room/sum" ]; do sleep 0.1; done
		cat "$room/said"
		read -r p f s <"$room/sum"
		add "$p" "$f" "$s"
	done
	wait
	workers=
}

longest_first() {
	for script; do echo "$(head_of "$script" lasts | cut -d' ' -f1) $script"; done | sort -srn -k1,1 | sed 's/.* //'
}

cores=$(nproc)
programs= scripts= timed=
for program; do
	case $program in
	*.sh) if [ -n "$(head_of "$program" timed)" ]; then timed="$timed $program"; else scripts="$scripts $program"; fi ;;
	*) programs="$programs $program" ;;
	esac
done
run_together "${JOBS:-$cores}" $programs
run_together "${JOBS:-$((2 * cores))}" $(longest_first $scripts)
run_together 1 $(longest_first $timed)
tail=
[ "$skipped" -gt 0 ] && tail=", $skipped skipped"
echo "$passed passed, $failed failed$tail"
[ "$failed" -eq 0 ]
