#include "core/tcp/ring.h"

#include <stdlib.h>
#include <string.h>

int tcp_ring_reserve(struct tcp_ring *r, u32 need, u32 limit, size_t *held)
{
	if (need <= r->cap)
		return 0;
	if (need > limit)
		return ERR_LIMIT;
	u32 cap = r->cap ? r->cap : RING_FIRST;
	while (cap < need)
		cap *= 2;
	cap = MIN(cap, limit);
	u8 *buf = malloc(cap);
	if (!buf)
		return ERR_NOMEM;
	if (r->cap)
		tcp_ring_copy(r, 0, buf, r->cap);
	*held += cap - r->cap;
	free(r->buf);
	r->buf = buf;
	r->cap = cap;
	r->start = 0;
	return 0;
}

/* Where `at` lies, and how many bytes until the end of memory. */
static u32 place(const struct tcp_ring *r, u32 at, u32 *room)
{
	u32 i = r->start + at;
	if (i >= r->cap)
		i -= r->cap;
	*room = r->cap - i;
	return i;
}

void tcp_ring_put(struct tcp_ring *r, u32 at, const u8 *data, u32 n)
{
	u32 room, i;

	if (n == 0)
		return;
	i = place(r, at, &room);
	u32 first = MIN(n, room);
	memcpy(r->buf + i, data, first);
	if (n > first)
		memcpy(r->buf, data + first, n - first);
}

void tcp_ring_copy(const struct tcp_ring *r, u32 at, u8 *out, u32 n)
{
	u32 room, i;

	if (n == 0)
		return;
	i = place(r, at, &room);
	u32 first = MIN(n, room);
	memcpy(out, r->buf + i, first);
	if (n > first)
		memcpy(out + first, r->buf, n - first);
}

void tcp_ring_drop(struct tcp_ring *r, u32 n)
{
	if (n == 0)
		return;
	u32 room;
	r->start = place(r, n, &room);
	if (r->start == r->cap)
		r->start = 0;
	r->len -= n;
}

void tcp_ring_trim(struct tcp_ring *r, size_t *held)
{
	*held -= r->cap;
	free(r->buf);
	*r = (struct tcp_ring){ 0 };
}
