/* tests/unit/netns.h: a network of its own for tests that configure one. Needs root; without it they are skipped. */
#pragma once

#include "core/base/types.h"

/* Enters a fresh, empty network namespace with loopback up; false when this is not possible. */
bool netns_enter(void);
/* Back home; the other one vanishes with all in it. */
void netns_leave(void);

/* Runs a shell command; true when it succeeded. */
bool netns_sh(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* The same; its whole output (borrowed until the next call, cut at 16 KiB) or "" when it failed. */
const char *netns_output(const char *fmt, ...) PRINTF_LIKE(1, 2);

#define REQUIRE_NETNS()                                                     \
	do {                                                                \
		if (!netns_enter())                                         \
			TEST_SKIP("needs root to make a network namespace"); \
	} while (0)
