# emberbox: one Makefile.  `make help` lists what it can do; everything it makes lies under $(BUILD).
#
#   DEPS=static   (default) a static musl binary; the libraries are built from the distribution's sources
#   DEPS=system   a dynamic binary against installed libraries
#   SAN=1         DEPS=system with AddressSanitizer and UndefinedBehaviorSanitizer
#   APPLETS="…"   only these applets; the others and their libraries are not linked

BUILD ?= build
DEPS ?= static
SAN ?=
VERSION := $(shell sed -n 's/.*EMBERBOX_VERSION "\(.*\)"/\1/p' applets/version.h)

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

# ---- variant: where objects go and with what they are made ----------------------------------------------------------------

VARIANT := $(if $(SAN),san,$(DEPS))
O := $(BUILD)/$(VARIANT)
D := $(BUILD)/deps

WARN := -Wall -Wextra -Werror -Wconversion -Wno-sign-conversion -Wshadow -Wvla
CFLAGS_ALL := -std=gnu11 -D_GNU_SOURCE -I. -g $(WARN) -ffunction-sections -fdata-sections
LDFLAGS_ALL := -Wl,--gc-sections -Wl,--as-needed
AR := gcc-ar

# Code that every packet passes is built for speed, the rest for size.
HOT := core/crypto/% core/wg/% core/peer/% core/tunnel/% core/ip/% platform/linux/tun% platform/linux/udp%
optimise = $(if $(SAN),-O1,$(if $(filter $(HOT),$1),-O2,-Os))

# FILE:PACKAGE: what contrib/build/tools.sh installs when FILE (a command or a path) is missing.
TOOLS := gcc:gcc /usr/include/linux/if_tun.h:linux-libc-dev
LIBS := ev bearssl cjson sodium
LIBS_portal := sqlite3

ifeq ($(VARIANT),static)
CC := musl-gcc
CFLAGS_ALL += -fno-pie -fno-asynchronous-unwind-tables -I$D/include -idirafter $D/kernel
LDFLAGS_ALL += -static
TOOLS += musl-gcc:musl-tools dpkg-source:dpkg-dev xz:xz-utils
TOOLS_portal := tclsh:tcl
link = $(patsubst %,$D/lib/lib%.a,$1)
ready = $(link)
else
CC := gcc
pkg = $(shell pkg-config --$1 $2 2>/dev/null)
CFLAGS_ALL += $(call pkg,cflags,libsodium libcjson sqlite3)
TOOLS += /usr/include/ev.h:libev-dev /usr/include/bearssl.h:libbearssl-dev /usr/include/sodium.h:libsodium-dev \
	/usr/include/cjson/cJSON.h:libcjson-dev
TOOLS_portal := /usr/include/sqlite3.h:libsqlite3-dev
link = $(foreach l,$1,$(or $(call pkg,libs,lib$l),$(call pkg,libs,$l),-l$l)) -lm
ready :=
ifneq ($(SAN),)
SANITIZE := -fsanitize=address,undefined
CFLAGS_ALL += $(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS_ALL += $(SANITIZE)
endif
endif

# ---- what there is ---------------------------------------------------------------------------------------------------------

APPLETS_KNOWN := client gateway relay portal quickstart
APPLETS_ALL := $(foreach a,$(APPLETS_KNOWN),$(if $(wildcard applets/$a/*.c),$a))
APPLETS ?= $(APPLETS_ALL)
ifneq ($(filter-out $(APPLETS_ALL),$(APPLETS)),)
$(error no such applet: $(filter-out $(APPLETS_ALL),$(APPLETS)) (there are: $(APPLETS_ALL)))
endif

applet_src = $(wildcard applets/$1/*.c applets/$1/*/*.c)
SRC_BASE := $(wildcard core/*/*.c platform/linux/*.c applets/common/*.c)
objs = $(patsubst %.c,$O/%.o,$1)

OBJ_BASE := $(call objs,$(SRC_BASE))
OBJ_SET := $(OBJ_BASE) $(call objs,$(foreach a,$(APPLETS),$(call applet_src,$a)))
OBJ_ALL := $(OBJ_BASE) $(call objs,$(foreach a,$(APPLETS_ALL),$(call applet_src,$a)))

empty :=
SET := $(if $(filter-out $(APPLETS),$(APPLETS_ALL)),set-$(subst $(empty) $(empty),-,$(strip $(APPLETS))),all)
S := $O/$(SET)
BIN := $S/emberbox

TEST_LIB_OBJ := $(call objs,$(filter-out $(wildcard tests/*/test_*.c),$(wildcard tests/unit/*.c tests/sim/*.c)))
UNIT := $(patsubst %.c,$O/%,$(wildcard tests/unit/test_*.c))
SIM := $(patsubst %.c,$O/%,$(wildcard tests/sim/test_*.c))

TOOLS_READY := $(BUILD)/tools-$(VARIANT)
PORTAL := $(if $(filter portal,$(APPLETS)),portal)
LINK_SET := $(call link,$(LIBS_$(PORTAL)) $(LIBS))
LINK_ALL := $(call link,$(LIBS_portal) $(LIBS))

# ---- the product -----------------------------------------------------------------------------------------------------------

.PHONY: all unit sim land-check clean FORCE
all: $(BIN)

ifeq ($V,)
say = @printf '  %-5s %s\n' '$1' '$2'; 
endif

# Written anew only when the content changed, so that what depends on it is remade exactly then.
keep = @mkdir -p $(@D); printf '%s\n' $1 | cmp -s - $@ || printf '%s\n' $1 > $@

$O/flags: FORCE
	$(call keep,'$(CC) $(CFLAGS_ALL) $(HOT)')
$S/objects: FORCE
	$(call keep,$(OBJ_SET))
$O/objects: FORCE
	$(call keep,$(OBJ_ALL) $(TEST_LIB_OBJ))
$S/applets.h: FORCE
	$(call keep,'#define APPLETS(X) $(foreach a,$(APPLETS),X($a))')

$(OBJ_ALL) $(TEST_LIB_OBJ) $(UNIT:%=%.o) $(SIM:%=%.o) $S/main.o: | $(TOOLS_READY) $(call ready,$(LIBS))
$(call objs,$(call applet_src,portal)) $(UNIT:%=%.o) $(SIM:%=%.o): | $(TOOLS_READY)-portal $(call ready,$(LIBS_portal))

$O/%.o: %.c $O/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CFLAGS_ALL) $(call optimise,$<) -MMD -MP -c $< -o $@
$S/main.o: applets/main.c $S/applets.h $O/flags
	$(call say,CC,$<)$(CC) $(CFLAGS_ALL) -I$S $(call optimise,$<) -MMD -MP -c $< -o $@

# Appending (q) keeps members of equal base name apart.
archive = $(call say,AR,$@)rm -f $@; $(AR) qcsT $@ $1
$S/libember.a: $(OBJ_SET) $S/objects
	$(call archive,$(OBJ_SET))
$O/libember.a: $(OBJ_ALL) $O/objects
	$(call archive,$(OBJ_ALL))
$O/libtest.a: $(TEST_LIB_OBJ) $O/objects
	$(call archive,$(TEST_LIB_OBJ))

$(BIN): $S/main.o $S/libember.a
	$(call say,LINK,$@)$(CC) $(LDFLAGS_ALL) $(filter-out %/objects,$^) $(LINK_SET) -o $@

# ---- what it stands on: tools and libraries --------------------------------------------------------------------------------

$(TOOLS_READY): contrib/build/tools.sh
	@contrib/build/tools.sh $(TOOLS) && mkdir -p $(@D) && touch $@
$(TOOLS_READY)-portal: $(TOOLS_READY)
	@contrib/build/tools.sh $(TOOLS_portal) && touch $@

$D/src/fetched: | $(TOOLS_READY)
	@contrib/build/fetch.sh $D/src && touch $@
$D/lib/lib%.a: contrib/build/lib.sh $D/src/fetched
	$(call say,LIB,$*)CC=$(CC) contrib/build/lib.sh $* $D
$D/lib/libsqlite3.a: | $(TOOLS_READY)-portal

# ---- tests -----------------------------------------------------------------------------------------------------------------

$(UNIT) $(SIM): %: %.o $O/libtest.a $O/libember.a
	$(call say,LINK,$@)$(CC) $(LDFLAGS_ALL) $^ $(LINK_ALL) -o $@

unit: $(UNIT)
	@tests/run.sh $(UNIT)
sim: $(SIM)
	@tests/run.sh $(SIM)

land-check: $(BIN) $(UNIT) $(SIM)
	@tests/run.sh $(UNIT)

clean:
	rm -rf $(BUILD)

-include $(shell find $O -name '*.d' 2>/dev/null)
