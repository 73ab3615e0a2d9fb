#!/bin/sh
# Runs fuzz targets, as many at a time as there are cores: run.sh replay|fuzz SECONDS FOLDER TARGET...
#
# replay feeds each target its seeds; fuzz gives the targets SECONDS of a core in all, keeps what it learns under FOLDER/corpus and the
# inputs that broke something under FOLDER/found. One target is one test.
set -u
mode=$1 seconds=$2 folder=$3
shift 3
work=$(mktemp -d) || exit 1
lanes=
trap 'rm -rf "$work"' EXIT
trap 'kill $lanes 2>/dev/null; wait; exit 130' INT TERM
each=$((seconds / ($# > 0 ? $# : 1)))
[ "$each" -ge 1 ] || each=1
mkdir -p "$folder/corpus" "$folder/found"

run() {
	timeout "$@" >"$log" 2>&1 </dev/null &
	child=$!
	wait $child
}

try() { # try TARGET
	name=${1##*/fuzz_}
	seeds=tests/fuzz/seeds/$name
	[ -d "$seeds" ] || seeds=
	if [ "$mode" = replay ]; then
		run 120 "$1" $seeds
	else
		mkdir -p "$folder/corpus/$name"
		# shellcheck disable=SC2086
		run $((each + 120)) "$1" -max_total_time="$each" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
			-verbosity=0 -artifact_prefix="$folder/found/$name-" "$folder/corpus/$name" $seeds
	fi
}

# Every so many-th target, each with a line of the lane's sum.
lane() { # lane NUMBER OF TARGET...
	trap '[ -n "$child" ] && kill $child; exit 130' INT TERM
	trap - EXIT
	number=$1 of=$2 i=0 child= log=$work/log$1
	shift 2
	for target; do
		i=$((i + 1))
		[ $((i % of)) -eq "$number" ] || continue
		if try "$target"; then
			echo passed
		else
			echo "FAIL $mode $name"
			tail -n 60 "$log" >&2
		fi
	done >"$work/sum$number" 2>"$work/why$number"
}

cores=$(nproc) n=0
while [ "$n" -lt "$cores" ]; do
	lane "$n" "$cores" "$@" &
	lanes="$lanes $!"
	n=$((n + 1))
done
wait
lanes=
passed=$(cat "$work"/sum* | grep -c '^passed$')
failed=$(($# - passed))
grep -h '^FAIL' "$work"/sum*
cat "$work"/why*
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
