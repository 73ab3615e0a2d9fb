/* core/tcp/ring.h: the bytes of one direction of a connection.
 *
 * The first `len` bytes are in order; behind them, within `cap`, tcp_ring_put() may leave bytes that came too early: the owner knows where. Memory
 * doubles with need and is given back by tcp_ring_trim() when the owner says that nothing is held.
 */
#pragma once

#include "core/base/err.h"
#include "core/base/types.h"

#define RING_FIRST 1024u

struct tcp_ring {
	u8 *buf;
	u32 cap, start, len;
};

/* Room for `need` bytes from the front, at most `limit`. ERR_LIMIT, ERR_NOMEM: nothing changed. `held` follows the memory taken. */
int tcp_ring_reserve(struct tcp_ring *r, u32 need, u32 limit, size_t *held) MUST_CHECK;
/* n bytes at `at` from the front, within what was reserved. */
void tcp_ring_put(struct tcp_ring *r, u32 at, const u8 *data, u32 n);
void tcp_ring_copy(const struct tcp_ring *r, u32 at, u8 *out, u32 n);
void tcp_ring_drop(struct tcp_ring *r, u32 n); /* from the front */
void tcp_ring_trim(struct tcp_ring *r, size_t *held); /* gives everything back */
