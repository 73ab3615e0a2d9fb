#!/bin/bash
# Every option, argument and variable that --help shows is in the man page, so that neither can be forgotten.
# packages:
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
EMBERBOX=${EMBERBOX:-$ROOT/build/static/all/emberbox}
rc=0

for applet in client gateway relay portal quickstart dns-proxy; do
	"$EMBERBOX" --help | grep -qE "^ +$applet( |\$)" || { echo "skip man_$applet: not in this build" && continue; }
	page=$(sed 's/\\-/-/g; s/\\e/\\/g' "$ROOT/contrib/man/emberbox-$applet.8")
	missing=
	for word in $("$EMBERBOX" $applet --help | grep -oE -- '--[a-z0-9-]+|env: +[A-Z0-9_]+' | sed 's/env: *//' | sort -u); do
		[[ $word == --help || $word == --version ]] && continue
		grep -qF -- "$word" <<<"$page" || missing+=" $word"
	done
	if [ -z "$missing" ]; then
		echo "ok man_${applet}_names_all_options"
	else
		echo "not ok man_${applet}_names_all_options: contrib/man/emberbox-$applet.8 lacks$missing"
		rc=1
	fi
done
exit $rc
