#!/bin/sh
# Embeds files: assets.sh OUT.c FILE... writes the table of applets/portal/http/assets.h. Compressed copies need gzip; without it there are none.
set -eu
out=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

bytes() { # bytes NAME FILE: an array
	echo "static const u8 $1[] = {"
	od -An -v -tx1 "$2" | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'
	echo "};"
}

{
	echo '#include "applets/portal/http/assets.h"'
	i=0
	for file in "$@"; do
		i=$((i + 1))
		name=${file##*/}
		hash=$(sha256sum "$file" | cut -c 1-10)
		plain=$(wc -c <"$file") packed=$plain gzip="0, $((plain)), 0"
		bytes "plain_$i" "$file"
		gzip -9 -n -c "$file" >"$work/gz" 2>/dev/null && packed=$(wc -c <"$work/gz")
		if [ "$packed" -lt "$plain" ]; then
			bytes "gzip_$i" "$work/gz"
			gzip="gzip_$i, $((plain)), $((packed))"
		fi
		echo "	{ \"$name\", \"/assets/${name%.*}-$hash.${name##*.}\", plain_$i, $gzip }," >>"$work/table"
	done
	echo 'const struct asset assets[] = {'
	[ ! -f "$work/table" ] || cat "$work/table"
	echo '	{ 0, 0, 0, 0, 0, 0 },'
	echo '};'
} >"$out.new"
mv "$out.new" "$out"
