/* core/tunnel/news.h: what waits at client and gateway alike: events for the next poll, goodbyes for the end of a batch. */
#pragma once

#include "core/ip/addr.h"

/* Indices of a ring of `max` events. When it is full the oldest gives way: events are news, not state. */
struct news {
	u32 first, n;
};

/* Where to put the next one. */
static inline u32 news_push(struct news *r, u32 max)
{
	if (r->n == max) {
		r->first = (r->first + 1) % max;
		r->n--;
	}
	return (r->first + r->n++) % max;
}

/* Where the oldest lies, which is taken out; false when there is none. */
static inline bool news_take(struct news *r, u32 max, u32 *at)
{
	if (r->n == 0)
		return false;
	*at = r->first;
	r->first = (r->first + 1) % max;
	r->n--;
	return true;
}

/* A goodbye frees the connection, whose memory later packets of the batch may name: it is carried out after the batch. Those beyond the limit are
 * left to the connection's own end. */
#define GOODBYES_PER_BATCH 256u

struct goodbyes {
	struct uuid id[GOODBYES_PER_BATCH];
	u32 n;
};

static inline void goodbye_note(struct goodbyes *bye, const struct uuid *id)
{
	if (bye->n < GOODBYES_PER_BATCH)
		bye->id[bye->n++] = *id;
}
