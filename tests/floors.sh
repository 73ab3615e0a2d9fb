#!/bin/sh
# The bearing walls (contrib/HACKING.md): floors.sh OBJECTS, where OBJECTS is the folder of the compiled tree (build/static).
#
#   1. an include never goes upward, and the folders of one floor do not include each other in a circle
#   2. core makes no system call, reads no clock, draws no randomness, prints nothing: the undefined symbols of its objects are
#      those of floors.allow, and no others
#   3. SQL is written in applets/portal/store and nowhere else
set -u
cd "$(dirname "$0")/.."
objects=$1
failed=0 passed=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

verdict() { # verdict NAME FINDINGS
	if [ -s "$2" ]; then
		failed=$((failed + 1))
		echo "not ok $1"
		sed 's/^/    /' "$2"
	else
		passed=$((passed + 1))
	fi
}

# "file includes header", for every include from the root
find core platform applets -name '*.[ch]' | xargs grep -HoE '^[ \t]*#[ \t]*include[ \t]*"[^"]*"' |
	sed -E 's/^([^:]*):.*"(.*)"/\1 \2/' >"$work/includes"

awk '
function floor(path, part) {
	split(path, part, "/")
	if (part[1] == "core") return part[2] in rank ? rank[part[2]] : -1
	if (part[1] == "platform") return 6
	if (part[1] == "applets") return 7
	return 8
}
BEGIN {
	split("base:0 json:1 crypto:1 stun:1 ip:1 http:1 loop:1 ice:2 turn:2 wg:2 dns:2 phoenix:2 tcp:2 peer:3 tunnel:4", list, " ")
	for (i in list) { split(list[i], pair, ":"); rank[pair[1]] = pair[2] }
}
{
	from = floor($1); to = floor($2)
	split($1, f, "/"); split($2, t, "/")
	if ($2 !~ /^(core|platform|applets|tests)\//)
		print $1 ": \"" $2 "\" is not written from the root"
	else if (from < 0 || to < 0)
		print $1 ": includes " $2 ": one of them is in a folder that has no floor (tests/floors.sh)"
	else if (to > from)
		print $1 ": includes " $2 ", which is above it"
	else if (f[1] == "core" && t[2] == "loop" && f[2] != "loop")
		print $1 ": includes " $2 "; only applets and tests wait"
	else if (f[1] == "platform" && t[1] == "core" && t[2] != "base" && t[2] != "ip")
		print $1 ": includes " $2 "; platform knows core/base and core/ip only"
	else if (f[1] == "applets" && t[1] == "applets" && f[3] != "" && t[3] != "" && t[2] != f[2] && t[2] != "common")
		print $1 ": includes " $2 " of another applet"
}' "$work/includes" >"$work/upward"
verdict "includes point down" "$work/upward"

# folders of one floor: the relation must have an order
awk '{
	n = split($1, f, "/"); m = split($2, t, "/")
	if (f[1] == "core" && t[1] == "core" && f[2] != t[2]) print f[2], t[2]
}' "$work/includes" | sort -u | tsort >/dev/null 2>"$work/circles"
verdict "no circle of folders in core" "$work/circles"

# what core's objects want that core does not define
find "$objects/core" -name '*.o' >"$work/list" 2>/dev/null
xargs -r nm -g --defined-only <"$work/list" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u >"$work/defined"
while read -r object; do
	folder=${object#"$objects"/}
	nm -u "$object" | awk -v folder="${folder%.o}.c" '{ print $2, folder }'
done <"$work/list" >"$work/wanted"
[ -s "$work/list" ] || echo "no objects of core under $objects" >"$work/calls"
awk '
FILENAME ~ /floors.allow$/ {
	sub(/#.*/, "")
	where = ""
	for (i = 1; i <= NF; i++)
		if ($i ~ /^core\/.*:$/) { where = $i; sub(/:$/, "", where) }
		else if ($i ~ /^!/) { denied[substr($i, 2)] = 1 }
		else { n++; pattern[n] = "^" $i "$"; gsub(/\*/, ".*", pattern[n]); scope[n] = where }
	next
}
FILENAME ~ /defined$/ { defined[$1] = 1; next }
!($1 in defined) {
	ok = 0
	for (i = 1; i <= n && !ok; i++)
		ok = $1 ~ pattern[i] && index($2, scope[i]) == 1
	for (d in denied) { p = d; gsub(/\*/, ".*", p); if ($1 ~ "^" p "$") ok = 0 }
	if (!ok)
		print $2 ": wants " $1 ", which is not in tests/floors.allow"
}' tests/floors.allow "$work/defined" "$work/wanted" >>"$work/calls"
verdict "core is sans-IO" "$work/calls"

# the portal may live on another database one day: what speaks SQL is in one folder
find applets core platform -name '*.[ch]' ! -path 'applets/portal/store/*' |
	xargs grep -nE '\bsqlite3|"[^"]*\b(SELECT [a-z*(]|INSERT (OR [A-Z]+ )?INTO|DELETE FROM|UPDATE [a-z_]+ SET|CREATE (TABLE|INDEX|TRIGGER))' >"$work/sql"
verdict "SQL is spoken in the store only" "$work/sql"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
