#!/bin/sh
# What is proven of the conformance checklists in contrib/protocol: conformance.sh [--open]
#
# An item is proven when a test is named after it: `spec20_37_both_roles_with_psk` (C tests and the scripts' `ok` lines alike) stands
# for item 37 of contrib/protocol/20-*.md. So does the first line of a story: `# spec 20 §9, item 37: ...`. With --open the text of each
# open item is printed too.
set -eu
cd "$(dirname "$0")/.."
names=$(mktemp)
trap 'rm -f "$names"' EXIT
stories() {
	sed -nE '1s/^# spec ([0-9]+) [^:]*, items? ([0-9 ]+):.*/\1 \2/p' -s tests/scenario/*.story |
		awk '{ for (i = 2; i <= NF; i++) print "spec" $1 "_" $i }'
}
{
	grep -rhoE --include='*.c' --include='*.sh' --include='*.py' --include='*.js' --include='*.go' '\bspec[0-9]+_[0-9]+(_[0-9a-zA-Z_]*)?' tests
	stories
} |
	grep -oE 'spec[0-9]+_[0-9]+' | sed -E 's/^spec([0-9]+)_0*([0-9]+)$/\1 \2/' | sort -u >"$names"

for spec in contrib/protocol/[0-9]*-*.md; do
	awk -v spec="$spec" -v show="${1:-}" '
	BEGIN {
		number = spec; sub(/.*\//, "", number); name = number
		sub(/-.*/, "", number); sub(/\.md$/, "", name)
	}
	FNR == NR { if ($1 == number) named[$2] = 1; next }
	/^## / { inside = /[Cc]onformance checklist/ }
	inside && /^[0-9]+\. / {
		item = $1; sub(/\./, "", item)
		total++
		if (item in named) { proven++; list_proven = list_proven " " item }
		else { list_open = list_open " " item; text = text "    " substr($0, 1, 150) "\n" }
	}
	END {
		if (!total) exit
		printf "%-22s %d of %d proven\n", name, proven, total
		if (list_proven != "") printf "  proven:%s\n", list_proven
		if (list_open != "") printf "  open:  %s\n", list_open
		if (show == "--open") printf "%s", text
	}' "$names" "$spec"
done
