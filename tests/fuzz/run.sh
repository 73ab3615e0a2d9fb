#!/bin/sh
# Runs fuzz targets: run.sh replay|fuzz SECONDS FOLDER TARGET...
#
# replay feeds each target its seeds; fuzz gives the targets SECONDS in all, keeps what it learns under FOLDER/corpus and the inputs
# that broke something under FOLDER/found. One target is one test.
set -u
mode=$1 seconds=$2 folder=$3
shift 3
passed=0 failed=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
each=$((seconds / ($# > 0 ? $# : 1)))
[ "$each" -ge 1 ] || each=1
mkdir -p "$folder/corpus" "$folder/found"

for target; do
	name=${target##*/fuzz_}
	seeds=tests/fuzz/seeds/$name
	if [ "$mode" = replay ]; then
		if [ -d "$seeds" ]; then timeout 120 "$target" "$seeds"; else timeout 120 "$target"; fi >"$log" 2>&1 </dev/null
	else
		mkdir -p "$folder/corpus/$name"
		[ -d "$seeds" ] || seeds=
		# shellcheck disable=SC2086
		timeout $((each + 120)) "$target" -max_total_time="$each" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
			-verbosity=0 -artifact_prefix="$folder/found/$name-" "$folder/corpus/$name" $seeds >"$log" 2>&1 </dev/null
	fi
	if [ $? -eq 0 ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAIL $mode $name"
		tail -n 60 "$log"
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
