/* core/phoenix/sendq.h: messages waiting to be written, first in first out, none twice (spec 10 §3.4).
 *
 * Kept as text: event and payload; the ref is drawn when one leaves.
 */
#pragma once

#include "core/base/err.h"
#include "core/base/types.h"

struct sendq_item {
	struct sendq_item *next;
	size_t event_len, payload_len;
	char text[]; /* event, NUL, payload */
};

struct sendq {
	struct sendq_item *first, **last;
	u32 n, max;
};

void sendq_init(struct sendq *o, u32 max);
void sendq_clear(struct sendq *o);
/* ERR_EXISTS: the same is waiting. ERR_LIMIT, ERR_NOMEM. */
int sendq_put(struct sendq *o, const char *event, struct span payload) MUST_CHECK;
/* The oldest, the caller's to free with sendq_item_free(); NULL when empty. */
struct sendq_item *sendq_take(struct sendq *o);
void sendq_item_free(struct sendq_item *item);
