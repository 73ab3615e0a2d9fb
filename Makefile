# emberbox: one Makefile.  `make help` lists what it can do; everything it makes lies under $(BUILD).
#
#   DEPS=static   (default) a static musl binary; the libraries are built from the distribution's sources
#   DEPS=system   a dynamic binary against installed libraries
#   SAN=1         DEPS=system with AddressSanitizer and UndefinedBehaviorSanitizer
#   APPLETS="…"   only these applets; the others and their libraries are not linked

BUILD ?= build
DEPS ?= static
SAN ?=
VERSION := 0.1.0

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

# ---- variant: where objects go and with what they are made ----------------------------------------------------------------

VARIANT := $(if $(SAN),san,$(DEPS))
O := $(BUILD)/$(VARIANT)

WARN := -Wall -Wextra -Werror -Wconversion -Wno-sign-conversion -Wshadow -Wvla
CFLAGS_ALL := -std=gnu11 -D_GNU_SOURCE -I. -g $(WARN) -ffunction-sections -fdata-sections
LDFLAGS_ALL := -Wl,--gc-sections -Wl,--as-needed
CC := gcc
AR := gcc-ar

# Code that every packet passes is built for speed, the rest for size.
HOT := core/crypto/% core/wg/% core/peer/% core/tunnel/% core/ip/% platform/linux/tun% platform/linux/udp%
optimise = $(if $(SAN),-O1,$(if $(filter $(HOT),$1),-O2,-Os))

ifneq ($(SAN),)
CFLAGS_ALL += -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS_ALL += -fsanitize=address,undefined
else
CFLAGS_ALL += -fno-asynchronous-unwind-tables
endif

pkg = $(shell pkg-config --$1 $2 2>/dev/null)
CFLAGS_ALL += $(call pkg,cflags,libsodium libcjson sqlite3)
LIBS := -lev -lbearssl -lcjson -lsodium -lm
LIBS_portal := -lsqlite3

# ---- what there is ---------------------------------------------------------------------------------------------------------

APPLETS_KNOWN := client gateway relay portal quickstart
APPLETS_ALL := $(foreach a,$(APPLETS_KNOWN),$(if $(wildcard applets/$a/*.c),$a))
APPLETS ?= $(APPLETS_ALL)

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

# ---- the product -----------------------------------------------------------------------------------------------------------

.PHONY: all unit sim land-check clean FORCE
all: $(BIN)

# Written anew only when the content changed, so that what depends on it is remade exactly then.
keep = @mkdir -p $(@D); printf '%s\n' $1 | cmp -s - $@ || printf '%s\n' $1 > $@

$O/flags: FORCE
	$(call keep,'$(CC) $(CFLAGS_ALL) $(HOT)')
$S/objects: FORCE
	$(call keep,$(OBJ_SET))
$O/objects: FORCE
	$(call keep,$(OBJ_ALL) $(TEST_LIB_OBJ))
$S/applets.h: FORCE
	$(call keep,'#define EMBERBOX_VERSION "$(VERSION)"' '#define APPLETS(X) $(foreach a,$(APPLETS),X($a))')

$O/%.o: %.c $O/flags
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(call optimise,$<) -MMD -MP -c $< -o $@

$S/main.o: applets/main.c $S/applets.h $O/flags
	$(CC) $(CFLAGS_ALL) -I$S $(call optimise,$<) -MMD -MP -c $< -o $@

# Appending (q) keeps members of equal base name apart.
archive = @rm -f $@; $(AR) qcsT $@ $1
$S/libember.a: $(OBJ_SET) $S/objects
	$(call archive,$(OBJ_SET))
$O/libember.a: $(OBJ_ALL) $O/objects
	$(call archive,$(OBJ_ALL))
$O/libtest.a: $(TEST_LIB_OBJ) $O/objects
	$(call archive,$(TEST_LIB_OBJ))

$(BIN): $S/main.o $S/libember.a
	$(CC) $(LDFLAGS_ALL) $^ $(foreach a,$(APPLETS),$(LIBS_$a)) $(LIBS) -o $@

# ---- tests -----------------------------------------------------------------------------------------------------------------

$(UNIT) $(SIM): %: %.o $O/libtest.a $O/libember.a
	$(CC) $(LDFLAGS_ALL) $^ $(LIBS_portal) $(LIBS) -o $@

unit: $(UNIT)
	@tests/run.sh $(UNIT)
sim: $(SIM)
	@tests/run.sh $(SIM)

land-check: $(BIN) $(UNIT) $(SIM)
	@tests/run.sh $(UNIT)

clean:
	rm -rf $(BUILD)

-include $(shell find $O -name '*.d' 2>/dev/null)
