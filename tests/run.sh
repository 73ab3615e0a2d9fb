#!/bin/sh
# Runs test programs one after the other and sums them up: run.sh PROGRAM...
#
# A program prints a line for each failing test and, last, `N passed, N failed[, N skipped]`. One that dies, hangs or ends without
# that line counts as one more failed test. Programs are given no input and TEST_TIMEOUT seconds (default 300) each.
set -u
passed=0 failed=0 skipped=0
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
for program; do
	timeout -k 5 "${TEST_TIMEOUT:-300}" "$program" >"$out" 2>&1 </dev/null
	rc=$?
	summary=$(grep -aE '^[0-9]+ passed, [0-9]+ failed' "$out" | tail -n 1)
	p=0 f=0 s=0
	[ -n "$summary" ] && read -r p _ f _ s _ <<-END
		$summary
	END
	f=${f%,} s=${s:-0}
	if [ "$rc" -ne 0 ] && [ "$f" -eq 0 ] || [ -z "$summary" ]; then
		f=$((f + 1))
		echo "FAIL $program: ended with status $rc"
	fi
	[ "$f" -gt 0 ] && { echo "--- $program"; grep -avxF -- "${summary:-none}" "$out" | tail -n 60; }
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
tail=
[ "$skipped" -gt 0 ] && tail=", $skipped skipped"
echo "$passed passed, $failed failed$tail"
[ "$failed" -eq 0 ]
