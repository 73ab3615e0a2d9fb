#!/bin/sh
# Gets and unpacks the sources of the libraries from the distribution: fetch.sh DIR
#
# apt works with a list of its own, made from the machine's Debian entries, and keeps all of its state under DIR/apt: the machine's
# configuration stays untouched, and no root is needed. apt verifies what it fetches against the archive's signature; then the
# upstream tarballs are compared with tested-versions. The result is one folder per library: DIR/libsodium, DIR/libev, ... A folder
# that is there is complete and stays as it is; when none lacks, the network is left alone.
set -eu
dir=$1
here=$(cd "$(dirname "$0")" && pwd)
fail() { echo "emberbox: $*" >&2; exit 1; }

mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
packages=$(sed -n 's/^\([a-z0-9]\+\) .*/\1/p' "$here/tested-versions" | sort -u | while read -r p; do [ -d "$dir/$p" ] || echo "$p"; done)
# musl brings no headers of the kernel; these are searched after its own.
kernel=$dir/../kernel
mkdir -p "$kernel"
ln -sfn /usr/include/linux "$kernel/linux"
ln -sfn /usr/include/asm-generic "$kernel/asm-generic"
ln -sfn "/usr/include/$(gcc -print-multiarch)/asm" "$kernel/asm"

[ -n "$packages" ] || exit 0

. /etc/os-release 2>/dev/null || true
[ "${ID:-}" = debian ] && command -v apt-get >/dev/null ||
	fail "a static build takes its libraries from Debian's source packages, and this is not Debian.
Install libsodium, libev, BearSSL, cJSON, nghttp2, SQLite and libmaxminddb (with headers), a C compiler and pkg-config, and run: make DEPS=system"
if [ -z "${VERSION_CODENAME:-}" ]; then
	VERSION_CODENAME=sid
fi

apt=$dir/apt
rm -rf "$apt" "$dir/source"
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/sources" "$dir/source"

cat /dev/null $(ls /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null) |
	awk -v codename="$VERSION_CODENAME" -f "$here/apt-sources.awk" >"$apt/sources/debian.list"
for f in /etc/apt/sources.list.d/*.sources; do
	[ -e "$f" ] || continue
	awk -v codename="$VERSION_CODENAME" -v deb822=1 -f "$here/apt-sources.awk" "$f"
done >"$apt/sources/debian.sources"
[ -s "$apt/sources/debian.list" ] || [ -s "$apt/sources/debian.sources" ] ||
	fail "found no Debian entry for $VERSION_CODENAME in /etc/apt/sources.list or /etc/apt/sources.list.d"

# shellcheck disable=SC2086
run_apt() {
	apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$apt/sources" -o Dir::State::lists="$apt/lists" \
		-o Dir::Cache="$apt/cache" -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Sandbox::User="$(id -un)" \
		-o Debug::NoLocking=1 "$@" </dev/null >"$apt/log" 2>&1 || { cat "$apt/log" >&2; return 1; }
}
echo "emberbox: fetching library sources from Debian $VERSION_CODENAME:" $packages >&2
run_apt update || fail "cannot read the archive's list of source packages"
cd "$dir/source"
# shellcheck disable=SC2086
run_apt source --download-only $packages || fail "cannot fetch the library sources"

for package in $packages; do
	dsc=$(ls "${package}"_*.dsc)
	tarball=$(ls "${package}"_*.orig.tar.* | grep -v '\.asc$')
	version=${tarball#"${package}"_}
	version=${version%.orig.tar.*}
	sum=$(sha256sum <"$tarball" | cut -d' ' -f1)
	tested=$(sed -n "s/^$package $version \([0-9a-f]*\)$/\1/p" "$here/tested-versions")
	if [ -z "$tested" ]; then
		echo "emberbox: notice: $package $version is not among the versions tested with (contrib/build/tested-versions)" >&2
	elif [ "$tested" != "$sum" ]; then
		fail "$tarball has SHA-256 $sum, but $package $version was tested with $tested"
	fi
	dpkg-source --no-check --no-copy -x "$dsc" "$package" >/dev/null 2>"$apt/log" || { cat "$apt/log" >&2; fail "cannot unpack $dsc"; }
	mv "$package" "$dir/"
done
rm -rf "$apt" "$dir/source"
