#!/bin/bash
# Every option, argument and variable that --help shows is in the man page, so that neither can be forgotten; and --help says what each is for.
# packages:
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
EMBERBOX=${EMBERBOX:-$ROOT/build/static/all/emberbox}
rc=0

# help APPLET: of its commands too, where those have options of their own
help() {
	"$EMBERBOX" "$1" --help
	case $1 in
	client) "$EMBERBOX" client sign-in --help && "$EMBERBOX" client sign-out --help ;;
	portal) for command in init serve backup restore export import; do "$EMBERBOX" portal $command --help; done ;;
	esac
}

# The options and variables without a word beside or below them.
without_words() {
	awk '/^[A-Z]/ { list = /^(Options|Environment):/ }
		name != "" { if ($0 !~ /^                    /) print name; name = "" }
		list && /^  +(-|[A-Z_]+=)/ { if ($0 !~ /[^ ]  +[^ ]/) name = $1 " " $2 }
		END { if (name != "") print name }'
}

for applet in client gateway relay portal quickstart dns-proxy; do
	"$EMBERBOX" --help | grep -qE "^ +$applet( |\$)" || { echo "skip man_$applet: not in this build" && continue; }
	page=$(sed 's/\\-/-/g; s/\\e/\\/g' "$ROOT/contrib/man/emberbox-$applet.8")
	missing=
	for word in $({ help $applet | grep -oE '^ +(-[A-Za-z], )?--[a-z0-9-]+' | grep -o -- '--.*'; help $applet | tr -s ' \n' ' ' | grep -oE 'env: [A-Z0-9_]+' |
		sed 's/env: //'; } | sort -u); do
		[[ $word == --help || $word == --version ]] && continue
		grep -qF -- "$word" <<<"$page" || missing+=" $word"
	done
	if [ -z "$missing" ]; then
		echo "ok man_${applet}_names_all_options"
	else
		echo "not ok man_${applet}_names_all_options: contrib/man/emberbox-$applet.8 lacks$missing"
		rc=1
	fi
	silent=$(help $applet | without_words | tr '\n' ' ')
	[ -z "$silent" ] && echo "ok man_${applet}_help_says_what_each_is_for" || { echo "not ok man_${applet}_help_says_what_each_is_for: $silent" && rc=1; }
done
exit $rc
