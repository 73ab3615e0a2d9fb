#!/bin/sh
# Builds one library as a static archive: lib.sh ev|sodium|bearssl|cjson|nghttp2|sqlite3|maxminddb DIR, with CC, AR and JOBS from the environment.
#
# Reads DIR/src (see fetch.sh), writes DIR/lib/libNAME.a and its headers under DIR/include. Every function gets a section of its
# own, so that the final link keeps only what the applets use.
set -eu
library=$1
prefix=$(mkdir -p "$2/lib" "$2/include" && cd "$2" && pwd)
case $library in
ev | sodium | maxminddb) src=$prefix/src/lib$library ;;
*) src=$prefix/src/$library ;;
esac
export CC=${CC:-musl-gcc} AR=${AR:-ar}
tmp=$prefix/obj/$library
rm -rf "$tmp"
mkdir -p "$tmp"
# GCC 12 and later make it smaller still, which is for what no packet passes.
smallest=-Os
if echo 'int f(void);' | $CC -Oz -x c -c -o "$tmp/try.o" - 2>/dev/null; then smallest=-Oz; fi
rm -f "$tmp/try.o"
size="$smallest -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -fomit-frame-pointer -fpie -fvisibility=hidden -w"

# compile FLAGS FILES...: objects of FILES of the present folder, as NUMBER.o where NUMBER goes on
count=100
compile() {
	flags=$(echo $1)
	shift
	printf '%s\n' "$@" | nl -w1 -s' ' -v $count |
		xargs -P "${JOBS:-$(nproc)}" -L1 sh -c "$CC $flags -c \"\$1\" -o '$tmp/'\$0.o"
	count=$((count + $#))
}

# archive FLAGS FILES...: compiles and makes libNAME.a of all objects
archive() {
	compile "$@"
	"$AR" qcs "$tmp/lib.a" "$tmp"/*.o
	mv "$tmp/lib.a" "$prefix/lib/lib$library.a"
}

# try NAME CODE: prints -DNAME=1 when the compiler accepts CODE
try() {
	printf '%s\n' "$2" | $CC $size -x c -c -o "$tmp/try.o" - 2>/dev/null && printf ' -D%s=1' "$1"
	rm -f "$tmp/try.o"
}

case $library in
sodium)
	# The distribution's tarball has no configure script; these are its findings on a Linux with musl.
	cd "$src/src/libsodium"
	major=$(sed -n 's/^SODIUM_LIBRARY_VERSION_MAJOR=//p' ../../configure.ac)
	minor=$(sed -n 's/^SODIUM_LIBRARY_VERSION_MINOR=//p' ../../configure.ac)
	version=$(sed -n 's/^AC_INIT(\[libsodium\],\[\([0-9.]*\).*/\1/p' ../../configure.ac)
	sed -e "s/@VERSION@/$version/; s/@SODIUM_LIBRARY_VERSION_MAJOR@/$major/; s/@SODIUM_LIBRARY_VERSION_MINOR@/$minor/" \
		-e 's/@SODIUM_LIBRARY_MINIMAL_DEF@//' include/sodium/version.h.in >include/sodium/version.h
	has="-DCONFIGURED=1 -D_GNU_SOURCE=1 -DHAVE_PTHREAD=1 -DHAVE_C_VARARRAYS=1 -DHAVE_WEAK_SYMBOLS=1 -DHAVE_ATOMIC_OPS=1
		-DHAVE_SYS_MMAN_H=1 -DHAVE_SYS_RANDOM_H=1 -DHAVE_GETRANDOM=1 -DHAVE_GETENTROPY=1 -DHAVE_EXPLICIT_BZERO=1 -DHAVE_MMAP=1
		-DHAVE_MLOCK=1 -DHAVE_MADVISE=1 -DHAVE_MPROTECT=1 -DHAVE_NANOSLEEP=1 -DHAVE_POSIX_MEMALIGN=1 -DHAVE_GETPID=1
		-Iinclude -Iinclude/sodium"
	has="$has$(try HAVE_TI_MODE 'typedef unsigned u __attribute__((mode(TI))); u f(u x) { return x * x; }')"
	case $($CC -dM -E -x c /dev/null) in
	*'__BYTE_ORDER__ __ORDER_LITTLE_ENDIAN__'*) has="$has -DNATIVE_LITTLE_ENDIAN=1" ;;
	*) has="$has -DNATIVE_BIG_ENDIAN=1" ;;
	esac
	kernels=
	if [ -n "$(try X86_64 '#ifndef __x86_64__
		#error
		#endif')" ]; then
		has="$has -DHAVE_CPUID=1"
		kernels="-DHAVE_AMD64_ASM=1 -DHAVE_INLINE_ASM=1"
		for h in MM EMM PMM TMM SMM AVX AVX2 AVX512F WMM; do
			kernels="$kernels -DHAVE_${h}INTRIN_H=1"
		done
		kernels="$kernels$(try HAVE_RDRAND '#pragma GCC target("rdrnd")
			#include <immintrin.h>
			int f(unsigned *x) { return _rdrand32_step(x); }')"
	fi
	# What nothing here uses, and what only a lot of code would make a little quicker, shall not be linked (80 KB): sodium_init() picks
	# kernels of Argon2, BLAKE2b and Salsa20; X25519 makes public keys with Ed25519's tables, where its own ladder does too; its
	# kernel for AVX (HAVE_AVX_ASM) takes 40 us where the portable one takes 50.
	sed -i -E '/^ *_crypto_(pwhash_argon2|generichash_blake2b|stream_salsa20)_pick_best_implementation\(\);/d' sodium/core.c
	x25519=crypto_scalarmult/curve25519/ref10/x25519_ref10.c
	grep -q ladder_base $x25519 || sed -i '/^struct crypto_scalarmult_curve25519_implementation/i \
static int ladder_base(unsigned char *q, const unsigned char *n)\
{ static const unsigned char nine[32] = { 9 }; return crypto_scalarmult_curve25519_ref10(q, n, nine); }' $x25519
	sed -i 's/\(\.mult_base =.* \)crypto_scalarmult_curve25519_ref10_base/\1ladder_base/' $x25519
	# What each packet passes is made for speed, what a handshake passes for size.
	hot='crypto_stream/chacha20|crypto_onetimeauth'
	# shellcheck disable=SC2046
	compile "$(printf %s "$size" | sed 's/-O[sz]/-O3/') $has $kernels" $(find . -name '*.c' -o -name '*.S' | sort | grep -E "$hot")
	# shellcheck disable=SC2046
	archive "$size $has $kernels" $(find . -name '*.c' -o -name '*.S' | sort | grep -vE "$hot")
	cp -R include/sodium.h include/sodium "$prefix/include/"
	;;
ev)
	cd "$src"
	archive "$size -DEV_STANDALONE=1 -DEV_USE_MONOTONIC=1 -DEV_USE_REALTIME=1 -DEV_USE_CLOCK_SYSCALL=0 -DEV_USE_NANOSLEEP=1
		-DEV_USE_EPOLL=1 -DEV_USE_POLL=1 -DEV_USE_SELECT=0 -DEV_USE_LINUXAIO=0 -DEV_USE_IOURING=0 -DEV_USE_INOTIFY=0
		-DEV_USE_EVENTFD=1 -DEV_USE_SIGNALFD=1 -DEV_USE_TIMERFD=0 -DEV_VERIFY=0 -DEV_PERIODIC_ENABLE=0 -DEV_STAT_ENABLE=0
		-DEV_IDLE_ENABLE=0 -DEV_PREPARE_ENABLE=0 -DEV_CHECK_ENABLE=0 -DEV_EMBED_ENABLE=0 -DEV_FORK_ENABLE=0
		-DEV_CHILD_ENABLE=0 -DEV_CLEANUP_ENABLE=0 -DEV_WALK_ENABLE=0" ev.c
	cp ev.h "$prefix/include/"
	;;
bearssl)
	cd "$src"
	# shellcheck disable=SC2046
	archive "$size -Iinc -Isrc -DBR_USE_URANDOM=1 -DBR_USE_UNIX_TIME=1" $(find src -name '*.c' | sort)
	cp inc/*.h "$prefix/include/"
	;;
cjson)
	cd "$src"
	archive "$size -DCJSON_HIDE_SYMBOLS" cJSON.c
	mkdir -p "$prefix/include/cjson"
	cp cJSON.h "$prefix/include/cjson/"
	;;
nghttp2)
	cd "$src/lib"
	version=$(sed -n 's/^AC_INIT(\[nghttp2\], \[\([0-9.]*\).*/\1/p' ../configure.ac)
	sed -e "s/@PACKAGE_VERSION@/$version/; s/@PACKAGE_VERSION_NUM@/$(echo "$version" | awk -F. '{ printf "0x%02x%02x%02x", $1, $2, $3 }')/" \
		includes/nghttp2/nghttp2ver.h.in >includes/nghttp2/nghttp2ver.h
	# shellcheck disable=SC2046
	archive "$size -Iincludes -DNGHTTP2_STATICLIB -DNDEBUG -DHAVE_ARPA_INET_H=1 -DHAVE_NETINET_IN_H=1 -DHAVE_TIME_H=1 -DHAVE_CLOCK_GETTIME=1
		-DHAVE_DECL_CLOCK_MONOTONIC=1" $(find . -name '*.c' | sort)
	mkdir -p "$prefix/include/nghttp2"
	cp includes/nghttp2/*.h "$prefix/include/nghttp2/"
	;;
sqlite3)
	options="-DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_OMIT_DEPRECATED -DSQLITE_DQS=0
		-DSQLITE_OMIT_UTF16 -DSQLITE_OMIT_EXPLAIN -DSQLITE_OMIT_DECLTYPE -DSQLITE_OMIT_AUTHORIZATION -DSQLITE_OMIT_GET_TABLE
		-DSQLITE_OMIT_COMPLETE -DSQLITE_OMIT_AUTOVACUUM -DSQLITE_OMIT_DATETIME_FUNCS -DSQLITE_OMIT_INTROSPECTION_PRAGMAS -DSQLITE_OMIT_DESERIALIZE
		-DSQLITE_OMIT_COMPILEOPTION_DIAGS -DSQLITE_UNTESTABLE -DSQLITE_OMIT_CASE_SENSITIVE_LIKE_PRAGMA
		-DSQLITE_DEFAULT_MEMSTATUS=0 -DSQLITE_LIKE_DOESNT_MATCH_BLOBS -DSQLITE_OMIT_PROGRESS_CALLBACK
		-DSQLITE_ENABLE_FTS5 -DSQLITE_OMIT_JSON -DSQLITE_OMIT_SHARED_CACHE -DSQLITE_OMIT_TRACE -DSQLITE_OMIT_TCL_VARIABLE
		-DSQLITE_OMIT_REINDEX -DSQLITE_OMIT_CTE -DSQLITE_OMIT_VIEW -DSQLITE_OMIT_GENERATED_COLUMNS
		-DSQLITE_USE_ALLOCA -DHAVE_USLEEP=1 -DHAVE_FDATASYNC=1 -DHAVE_PREAD=1 -DHAVE_PWRITE=1 -DHAVE_GMTIME_R=1 -DHAVE_LOCALTIME_R=1"
	cd "$src"
	# The parser and the list of keywords are made with the same options, or the grammar would call what is not there.
	(cd "$tmp" && "$src/configure" --disable-tcl --disable-readline >/dev/null 2>config.err &&
		make -s sqlite3.c OPTS="$(echo $options)" >/dev/null 2>>config.err) || { cat "$tmp/config.err" >&2; exit 1; }
	cd "$tmp"
	archive "$size $options" sqlite3.c
	cp sqlite3.h "$prefix/include/"
	;;
maxminddb)
	cd "$src"
	version=$(sed -n 's/^AC_INIT(\[libmaxminddb\], \[\([0-9.]*\)\].*/\1/p' configure.ac)
	# Nothing here reads numbers of 128 bits; as bytes they are the same on all machines.
	printf '#define MMDB_UINT128_USING_MODE 0\n#define MMDB_UINT128_IS_BYTE_ARRAY 1\n' >include/maxminddb_config.h
	order=
	case $($CC -dM -E -x c /dev/null) in
	*'__BYTE_ORDER__ __ORDER_LITTLE_ENDIAN__'*) order=-DMMDB_LITTLE_ENDIAN=1 ;;
	esac
	archive "$size -D_GNU_SOURCE -DNDEBUG -Iinclude -DPACKAGE_VERSION='\"$version\"' $order" src/maxminddb.c src/data-pool.c
	cp include/maxminddb.h include/maxminddb_config.h "$prefix/include/"
	;;
*)
	echo "lib.sh: unknown library '$library'" >&2
	exit 2
	;;
esac
rm -rf "$tmp"
