# Prints the deb-src form of this machine's Debian entries, and of no others.
#
# Run with -v codename=bookworm over /etc/apt/sources.list and *.list (one-line form), or with -v deb822=1 over *.sources. An entry
# is Debian's when one of its addresses ends in /debian or /debian-security and a suite belongs to this release.

function is_debian_uri(u) {
	return u ~ /^[a-z+]+:.*\/debian(-security)?\/?$/ || u ~ /^mirror\+file:/
}
function is_our_suite(s) {
	sub(/\/updates$/, "", s)
	return s == codename || s ~ "^" codename "-(updates|security|proposed-updates)$" ||
		s ~ /^(stable|testing|unstable|sid)(-updates|-security)?$/
}

# deb822: stanzas between blank lines, copied but for their Types.
function stanza_end() {
	if (wanted_uri && wanted_suite && !disabled && stanza != "")
		printf "%s\n", stanza
	stanza = ""; wanted_uri = wanted_suite = disabled = 0
}
deb822 && /^[ \t]*$/ { stanza_end(); next }
deb822 && /^#/ { next }
deb822 {
	key = tolower($1)
	if (key == "types:" || key == "architectures:")
		line = key == "types:" ? "Types: deb-src" : ""
	else
		line = $0
	if (/^[^ \t]/)
		field = key
	if (key == "enabled:" && tolower($2) ~ /^(no|false|0|off|without|disable)$/)
		disabled = 1
	for (i = 1; i <= NF; i++) {
		if (field == "uris:" && is_debian_uri($i))
			wanted_uri = 1
		if (field == "suites:" && is_our_suite($i))
			wanted_suite = 1
	}
	if (line != "")
		stanza = stanza line "\n"
}
END { if (deb822) stanza_end() }

# One line: deb [options] uri suite component...
!deb822 && $1 == "deb" {
	rest = $0
	sub(/^[ \t]*deb[ \t]+/, "", rest)
	options = ""
	if (match(rest, /^\[[^]]*\][ \t]*/)) {
		options = substr(rest, 1, RLENGTH)
		rest = substr(rest, RLENGTH + 1)
		gsub(/arch[-+]*=[^] \t]*/, "", options)
	}
	split(rest, part, /[ \t]+/)
	if (is_debian_uri(part[1]) && is_our_suite(part[2]))
		print "deb-src " options rest
}
