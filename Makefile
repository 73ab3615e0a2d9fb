# emberbox: one Makefile; everything it makes lies under $(BUILD).
#
#   make                the static musl binary build/static/all/emberbox; the libraries come from the distribution's sources
#   make DEPS=system    a dynamic binary against installed libraries
#   make SAN=1          the same with AddressSanitizer and UndefinedBehaviorSanitizer
#   make APPLETS="…"    only these applets; the others and their libraries are not linked
#   make DOH=0          without DNS over HTTPS and nghttp2
#   make V=1            whole command lines

BUILD ?= build
DEPS ?= static
VERSION := $(shell sed -n 's/.*EMBERBOX_VERSION "\(.*\)"/\1/p' applets/version.h)

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
.PHONY: all demo check land-check floors unit sim san e2e interop fuzz fuzz-short fuzz-seeds fuzz-run bench size conformance \
	format install clean help print-binary FORCE

# ---- variant: where objects go and with what they are made ----------------------------------------------------------------

VARIANT := $(if $(FUZZ),fuzz,$(if $(SAN),san,$(DEPS)))
O := $(BUILD)/$(VARIANT)
D := $(BUILD)/deps

WARN := -Wall -Wextra -Werror -Wconversion -Wno-sign-conversion -Wshadow -Wvla
CFLAGS_ALL := -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64 -I. -I$O/gen -g $(WARN) -ffunction-sections -fdata-sections
LDFLAGS_ALL := -Wl,--gc-sections -Wl,--as-needed
AR := gcc-ar

# Code that every packet passes is built for speed, and what the portal asks ten thousand times for one page; the rest for size.
HOT := core/crypto/% core/turn/server_data% core/wg/% core/peer/% core/tunnel/% core/ip/% core/dns/% platform/linux/tun% platform/linux/udp% \
	platform/linux/relay_udp% $(addprefix applets/portal/model/,ids% index% directory%)
# And of the same folders what only decides, now and then.
COLD := $(addprefix core/,dns/blocklist% dns/doh% dns/forward% dns/lookup% dns/stream% dns/pattern% ip/addr% ip/icmp% \
	ip/udp_packet% peer/relays% tunnel/client.% tunnel/client_resources% tunnel/client_devices% tunnel/client_flows% \
	tunnel/client_dns.% tunnel/client_dns_config% tunnel/client_dns_inside% tunnel/client_dns_tcp% tunnel/client_stub% \
	tunnel/gateway_access% tunnel/convert% tunnel/control% tunnel/pending% tunnel/routes% wg/handshake% wg/local%)
# What is seldom hurried is small by all means, where the compiler has -Oz (GCC 12, clang); so is COLD.
SMALL := applets/client/% applets/gateway/% applets/portal/% applets/quickstart/% core/http/% core/json/% core/phoenix/% \
	$(addprefix applets/common/,ca% dial% health% httpd% ident% logging% net_watch% options% portal_link% startup% tls_socket% token%) \
	$(addprefix platform/linux/,dbus% dns_% firewall% host_news% net% resolver% sockaddr% terminal% textfile%)
# Asked when it is first needed: the compiler may be installed by this very make.
SMALLEST = $(eval SMALLEST := $(shell $(CC) -Oz -E -x c /dev/null >/dev/null 2>&1 && echo -Oz || echo -Os))$(SMALLEST)
# Kernels of intrinsics need their loops unrolled into registers.
KERNELS := core/crypto/aead_%
optimise = $(if $(SAN)$(FUZZ),-O1,$(if $(filter $(KERNELS),$1),-O3 -funroll-loops,$(if $(filter-out $(COLD),$(filter $(HOT),$1)),-O2,$(if $(filter $(SMALL) $(COLD),$1),$(SMALLEST),-Os))))

# FILE:PACKAGE: what contrib/build/tools.sh installs when FILE (a command or a path) is missing.
TOOLS := gcc:gcc /usr/include/linux/if_tun.h:linux-libc-dev
TOOLS_STATIC := musl-gcc:musl-tools dpkg-source:dpkg-dev xz:xz-utils
TOOLS_STATIC_portal := tclsh:tcl
TOOLS_SYSTEM := pkg-config:pkg-config /usr/include/ev.h:libev-dev /usr/include/bearssl.h:libbearssl-dev \
	/usr/include/sodium.h:libsodium-dev /usr/include/cjson/cJSON.h:libcjson-dev
TOOLS_SYSTEM_portal := /usr/include/sqlite3.h:libsqlite3-dev /usr/lib/*/pkgconfig/libmaxminddb.pc:libmaxminddb-dev
TOOLS_SYSTEM_doh := /usr/include/nghttp2/nghttp2.h:libnghttp2-dev
TOOLS_FUZZ := clang:clang /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a:libclang-rt-dev

LIBS := ev bearssl cjson sodium
LIBS_PORTAL := sqlite3 maxminddb
LIBS_DOH := nghttp2

ifeq ($(VARIANT),static)
CC := musl-gcc
CFLAGS_ALL += -fpie -fno-asynchronous-unwind-tables -isystem $D/include -idirafter $D/kernel
# A static PIE: addresses are random in the static binary too. musl-gcc knows no -static-pie, so the start files are named here.
MUSL = /usr/lib/$(subst gnu,musl,$(shell gcc -print-multiarch))
LDFLAGS_ALL += -static -nostartfiles -Wl,-pie,--no-dynamic-linker,-z,text,-z,relro,-z,now
START = $(PACK) $(MUSL)/rcrt1.o $(MUSL)/crti.o
# Relocations in a hundredth of the room, where the linker can (binutils 2.38 on x86, 2.43 elsewhere); see platform/linux/start.c.
PACKED := -Wl,-z,pack-relative-relocs,--wrap=__libc_start_main
PACK = $(eval PACK := $(if $(shell $(CC) -Wl,--help 2>/dev/null | grep -e '-z pack-relative-relocs'),$(PACKED)))$(PACK)
END = $(MUSL)/crtn.o
TOOLS += $(TOOLS_STATIC)
TOOLS_portal := $(TOOLS_STATIC_portal)
archives = $(patsubst %,$D/lib/lib%.a,$1)
else
CC := gcc
pkg = $(shell pkg-config --$1 $2 2>/dev/null)
CFLAGS_ALL += $(call pkg,cflags,libsodium libcjson) $(call pkg,cflags,sqlite3 libmaxminddb) $(call pkg,cflags,libnghttp2)
TOOLS += $(TOOLS_SYSTEM)
TOOLS_portal := $(TOOLS_SYSTEM_portal)
TOOLS_doh := $(TOOLS_SYSTEM_doh)
shared = $(foreach l,$1,$(or $(call pkg,libs,lib$l),$(call pkg,libs,$l),-l$l)) -lm
endif

SANITIZE := -fsanitize=address,undefined
ifneq ($(SAN),)
CFLAGS_ALL += $(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS_ALL += $(SANITIZE)
endif
ifneq ($(FUZZ),)
CC := clang
CFLAGS_ALL := $(filter-out -W%,$(CFLAGS_ALL)) -w $(SANITIZE),fuzzer-no-link -fno-sanitize-recover=all
LDFLAGS_ALL += $(SANITIZE),fuzzer
TOOLS += $(TOOLS_FUZZ)
endif

# ---- what there is ---------------------------------------------------------------------------------------------------------

# Folders; an applet whose folder has `_` is called with `-`, and either may be said to APPLETS.
APPLETS_KNOWN := client gateway relay portal quickstart dns_proxy
APPLETS_ALL := $(foreach a,$(APPLETS_KNOWN),$(if $(wildcard applets/$a/*.c),$a))
APPLETS ?= $(APPLETS_ALL)
override APPLETS := $(subst -,_,$(APPLETS))
ifneq ($(filter-out $(APPLETS_ALL),$(APPLETS)),)
$(error no such applet: $(filter-out $(APPLETS_ALL),$(APPLETS)) (there are: $(APPLETS_ALL)))
endif

# The applets that ask upstream resolvers get DNS over HTTPS; all others get core/dns/no_doh.c and no nghttp2.
DOH ?= $(if $(filter client dns_proxy,$(APPLETS)),1,0)

objs = $(patsubst %.c,$O/%.o,$1)
applet_objs = $(call objs,$(foreach a,$1,$(wildcard applets/$a/*.c applets/$a/*/*.c))) $(if $(filter portal,$1),$(OBJ_TEMPLATES))

# Pages are templates (contrib/build/templates.h), made into C by a program of the building machine.
TEMPLATES := $(wildcard applets/portal/web/templates/*.html)
TEMPLATES_C := $(TEMPLATES:%.html=$O/gen/%.c)
TEMPLATES_H := $O/gen/applets/portal/web/templates.h
# Stylesheet, script and icons are embedded as they are, and compressed (contrib/build/assets.sh).
ASSETS := $(sort $(wildcard applets/portal/web/assets/*))
ASSETS_C := $O/gen/applets/portal/web/assets.c
OBJ_TEMPLATES := $(TEMPLATES_C:.c=.o) $(ASSETS_C:.c=.o)
OBJ_DOH := $(call objs,$(wildcard core/dns/doh.c core/dns/doh_h[12].c))
OBJ_NO_DOH := $(call objs,core/dns/no_doh.c)
OBJ_BASE := $(filter-out $(OBJ_DOH) $(OBJ_NO_DOH),$(call objs,$(wildcard core/*/*.c platform/linux/*.c applets/common/*.c)))
OBJ_SET := $(OBJ_BASE) $(if $(filter 0,$(DOH)),$(OBJ_NO_DOH),$(OBJ_DOH)) $(call applet_objs,$(APPLETS))
OBJ_ALL := $(OBJ_BASE) $(OBJ_DOH) $(call applet_objs,$(APPLETS_ALL))

# The binary of a set of applets has a folder of its own; objects are shared.
empty :=
SET := $(if $(filter-out $(APPLETS),$(APPLETS_ALL)),set-$(subst $(empty) $(empty),-,$(strip $(APPLETS))),all)
ifneq ($(filter command% environment%,$(origin DOH)),)
SET := $(SET)-doh$(DOH)
endif
S := $O/$(SET)
BIN := $S/emberbox

programs = $(patsubst %.c,$O/%,$(wildcard $1))
UNIT := $(call programs,tests/unit/test_*.c tests/scenario/test_*.c)
SIM := $(call programs,tests/sim/test_*.c)
FUZZERS := $(call programs,tests/fuzz/fuzz_*.c)
DRIVERS := $(call programs,tests/interop/*.c)
LOADS := $(call programs,tests/bench/*.c)
TEST_LIB_OBJ := $(call objs,$(filter-out $(wildcard tests/*/test_*.c),$(wildcard tests/unit/*.c tests/sim/*.c tests/scenario/*.c)))
TEST_OBJ := $(patsubst %,%.o,$(UNIT) $(SIM) $(FUZZERS) $(DRIVERS) $(LOADS)) $O/tests/fuzz/replay.o
SIM_SEEDS ?= 1000

TOOLS_READY := $(BUILD)/tools-$(VARIANT)
LIBS_SET := $(if $(filter portal,$(APPLETS)),$(LIBS_PORTAL)) $(if $(filter 0,$(DOH)),,$(LIBS_DOH)) $(LIBS)
LIBS_ALL := $(LIBS_PORTAL) $(LIBS_DOH) $(LIBS)
SHARED_SET := $(call shared,$(LIBS_SET))
SHARED_ALL := $(call shared,$(LIBS_ALL))

# ---- the product -----------------------------------------------------------------------------------------------------------

all: $(BIN)

say = $(if $V$(findstring s,$(firstword -$(MAKEFLAGS))),$(if $V,,@),@printf '  %-5s %s\n' '$1' '$2'; )

# Written anew only when the content changed, so that what depends on it is remade exactly then.
keep = @mkdir -p $(@D); printf '%s\n' $1 | cmp -s - $@ || printf '%s\n' $1 > $@

$O/flags: FORCE | $(TOOLS_READY)
	$(call keep,'$(CC) $(CFLAGS_ALL) $(HOT) $(COLD) $(SMALL) $(SMALLEST) $(value optimise)')
$S/objects: FORCE
	$(call keep,$(OBJ_SET))
$O/objects: FORCE
	$(call keep,$(OBJ_ALL) $(TEST_LIB_OBJ))
$S/applets.h: FORCE
	$(call keep,'#define APPLETS(X) $(foreach a,$(APPLETS),X($a))')

$(OBJ_ALL) $(OBJ_NO_DOH) $(TEST_LIB_OBJ) $(TEST_OBJ) $S/main.o: | $(TOOLS_READY) $(call archives,$(LIBS))
$(call applet_objs,portal) $(TEST_OBJ): | $(TOOLS_READY)-portal $(call archives,$(LIBS_PORTAL)) $(TEMPLATES_H)
$(OBJ_DOH) $(TEST_OBJ): | $(TOOLS_READY)-doh $(call archives,$(LIBS_DOH))

$O/%.o: %.c $O/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CFLAGS_ALL) $(call optimise,$<) -MMD -MP -c $< -o $@
$S/main.o: applets/main.c $S/applets.h $O/flags
	$(call say,CC,$<)$(CC) $(CFLAGS_ALL) -I$S $(call optimise,$<) -MMD -MP -c $< -o $@

# One run compiles all templates; what did not change keeps its date, so only the pages that did are compiled.
HOSTCC ?= gcc
COMPILER := $(addprefix contrib/build/,templates.c templates_html.c templates_code.c templates_main.c templates.h templates_int.h) core/base/strbuf.c core/base/strbuf.h core/base/types.h
$(BUILD)/templates: $(COMPILER) | $(TOOLS_READY)
	$(call say,HOST,$@)$(HOSTCC) -std=gnu11 -D_GNU_SOURCE -I. -O1 $(WARN) $(filter %.c,$^) -o $@.$(VARIANT) && mv $@.$(VARIANT) $@
$O/gen/templates.done: $(BUILD)/templates $(TEMPLATES)
	@mkdir -p $O/gen/applets/portal/web/templates
	$(call say,HTML,$O/gen)$< $O/gen/applets/portal/web/templates $(TEMPLATES_H) $(TEMPLATES) && touch $@
$(TEMPLATES_H) $(TEMPLATES_C): $O/gen/templates.done ;
$O/gen/assets: FORCE
	$(call keep,'$(ASSETS)')
$(ASSETS_C): contrib/build/assets.sh $O/gen/assets $(ASSETS)
	@mkdir -p $(@D)
	$(call say,EMBED,$@)contrib/build/assets.sh $@ $(ASSETS)
$(OBJ_TEMPLATES): %.o: %.c $O/flags
	$(call say,CC,$<)$(CC) $(CFLAGS_ALL) $(SMALLEST) -MMD -MP -c $< -o $@

# Appending (q) keeps members of equal base name apart.
archive = $(call say,AR,$@)rm -f $@; $(AR) qcsT $@ $1
$S/libember.a: $(OBJ_SET) $S/objects
	$(call archive,$(OBJ_SET))
$O/libember.a: $(OBJ_ALL) $O/objects
	$(call archive,$(OBJ_ALL))
$O/libtest.a: $(TEST_LIB_OBJ) $O/objects
	$(call archive,$(TEST_LIB_OBJ))

# The static binary is stripped; emberbox.debug beside it is not.
$(BIN): $S/main.o $S/libember.a $(call archives,$(LIBS_SET))
	$(call say,LINK,$@)$(CC) $(LDFLAGS_ALL) $(START) $^ $(SHARED_SET) $(END) -o $@$(if $(filter static,$(VARIANT)),.debug && strip $@.debug -o $@)

# ---- what it stands on: tools and libraries --------------------------------------------------------------------------------

$(TOOLS_READY): contrib/build/tools.sh
	@contrib/build/tools.sh $(TOOLS) && mkdir -p $(@D) && touch $@
$(TOOLS_READY)-%: $(TOOLS_READY)
	@contrib/build/tools.sh $(TOOLS_$*) && touch $@

# A folder of sources is complete when it is there; what lacks is fetched in one go.
SOURCES := $(addprefix $D/src/,$(sort $(shell sed -n 's/^\([a-z0-9]\+\) .*/\1/p' contrib/build/tested-versions)))
$D/src/fetched: $(if $(filter-out $(wildcard $(SOURCES)),$(SOURCES)),FORCE) | $(TOOLS_READY)
	@contrib/build/fetch.sh $D/src && touch $@
$D/lib/lib%.a: contrib/build/lib.sh | $D/src/fetched
	$(call say,LIB,$*)CC=$(CC) contrib/build/lib.sh $* $D
$D/lib/libsqlite3.a: | $(TOOLS_READY)-portal

# ---- tests -----------------------------------------------------------------------------------------------------------------

$(UNIT) $(SIM) $(DRIVERS) $(LOADS): %: %.o $O/libtest.a $O/libember.a $(call archives,$(LIBS_ALL))
	$(call say,LINK,$@)$(CC) $(LDFLAGS_ALL) $(START) $^ $(SHARED_ALL) $(END) -o $@
$(FUZZERS): %: %.o $(if $(FUZZ),,$O/tests/fuzz/replay.o) $O/libtest.a $O/libember.a $(call archives,$(LIBS_ALL))
	$(call say,LINK,$@)$(CC) $(LDFLAGS_ALL) $(START) $^ $(SHARED_ALL) $(END) -o $@

# What the rings need beyond the build, by one call to apt-get; a script whose needs are not met says so.
packages_of = $(shell sed -n 's/^\# packages: *//p' /dev/null $(wildcard $1))
TOOLS_CHECK = $(TOOLS) $(TOOLS_portal) $(TOOLS_SYSTEM) $(TOOLS_SYSTEM_portal) $(TOOLS_SYSTEM_doh) $(TOOLS_FUZZ) \
	$(call packages_of,tests/e2e/*.sh tests/interop/test_*.sh)
STAGES := floors unit sim $(if $(SAN),fuzz-seeds,san) fuzz-short e2e interop
check:
	@contrib/build/tools.sh $(sort $(TOOLS_CHECK)) || true
	+@REMAKE="$(MAKE) $(if $(findstring j,$(firstword -$(MAKEFLAGS))),,-j$(shell nproc))" tests/check.sh $(STAGES)

floors: $(OBJ_ALL)
	@tests/floors.sh $O
unit: $(UNIT)
	@tests/run.sh $(UNIT)
sim: $(SIM)
	@SIM_SEEDS=$(SIM_SEEDS) tests/run.sh $(SIM)
interop: $(DRIVERS)
e2e interop: $(BIN)
	@INTEROP_BIN=$(abspath $O/tests/interop) EMBERBOX=$(abspath $(BIN)) tests/run.sh $(wildcard tests/$@/test_*.sh)
fuzz-seeds: $(FUZZERS)
	@tests/fuzz/run.sh replay 0 $O $(FUZZERS)
# The same code under the sanitizers: unit tests, a tenth of the simulations, the fuzz targets' seeds.
san:
	+@REMAKE="$(MAKE) SAN=1 SIM_SEEDS=100" tests/check.sh unit sim fuzz-seeds
# libFuzzer: a minute for all targets together, or an hour (FUZZ_SECONDS); FUZZ_TARGET=NAME chooses one.
fuzz-short:
	@$(MAKE) --no-print-directory FUZZ=1 FUZZ_SECONDS=60 fuzz-run
fuzz:
	@$(MAKE) --no-print-directory FUZZ=1 fuzz-run
FUZZ_SECONDS ?= 3600
fuzz-run: $(if $(FUZZ_TARGET),$O/tests/fuzz/fuzz_$(FUZZ_TARGET),$(FUZZERS))
	@tests/fuzz/run.sh fuzz $(FUZZ_SECONDS) $O $^

land-check: $(BIN) $(UNIT) $(SIM)
	@tests/floors.sh $O
	@tests/run.sh $(UNIT)

demo: $(BIN)
	@contrib/build/tools.sh $(call packages_of,tests/e2e/demo.sh)
	@EMBERBOX=$(abspath $(BIN)) tests/e2e/demo.sh
bench: $(BIN) $(LOADS)
	@for b in $(or $(BENCH:%=tests/bench/%.sh),$(wildcard tests/bench/*.sh)); do \
		BENCH_BIN=$(abspath $O/tests/bench) EMBERBOX=$(abspath $(BIN)) $$b || exit 1; done
size:
	+@REMAKE="$(MAKE)" contrib/build/size.sh $(APPLETS)
conformance:
	@tests/conformance.sh $(if $V,--open)
format:
	clang-format -i $$(git ls-files '*.c' '*.h')

# ---- the rest --------------------------------------------------------------------------------------------------------------

PREFIX ?= /usr/local
install: $(BIN)
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/emberbox
	for a in $(subst _,-,$(filter-out quickstart,$(APPLETS))); do ln -sf emberbox $(DESTDIR)$(PREFIX)/bin/ember-$$a; done
	for m in $(wildcard contrib/man/*.[1-8]); do \
		install -D -m 644 $$m $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$${m##*/}; done

help:
	@sed -n '/^\#/!q; s/^\# \{0,1\}//p' Makefile
	@echo 'make demo|check|install|bench|size|conformance|fuzz|format|clean, and the stages of check: $(STAGES)'
print-binary:
	@echo $(BIN)
clean:
	rm -rf $(BUILD)

-include $(shell find $O -name '*.d' 2>/dev/null)
