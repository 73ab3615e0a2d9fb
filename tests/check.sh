#!/bin/sh
# All rings of the tests, one after the other: check.sh STAGE... (each a make target whose last line is `N passed, N failed`).
#
# A stage that cannot be built or dies counts as one failed test, and the next one runs all the same. The last line is the sum.
set -u
passed=0 failed=0 skipped=0 broken=
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
trap 'exit 130' INT TERM
REMAKE=${REMAKE:-make}

for stage; do
	began=$(date +%s)
	echo "== $stage"
	{ $REMAKE --no-print-directory "$stage" </dev/null 2>&1; echo "status $?"; } | tee "$out" | sed '/^status [0-9]*$/d'
	rc=$(sed -n 's/^status //p' "$out" | tail -n 1)
	summary=$(grep -aE '^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$out" | tail -n 1)
	p=0 f=0 s=0
	[ -n "$summary" ] && read -r p _ f _ s _ <<-END
		$summary
	END
	f=${f%,} s=${s:-0}
	[ "${rc:-1}" -ne 0 ] && [ "$f" -eq 0 ] && f=1
	[ "$f" -gt 0 ] && broken="$broken $stage"
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	echo "   ($(($(date +%s) - began)) s)"
done
[ -n "$broken" ] && echo "failed in:$broken"
tail=
[ "$skipped" -gt 0 ] && tail=", $skipped skipped"
echo "$passed passed, $failed failed$tail"
[ "$failed" -eq 0 ]
