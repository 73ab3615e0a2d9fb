#include "applets/portal/web/hours.h"

#define USEC_PER_HOUR 3600000000ll

bool hours_begin(struct web *w, struct hours *h)
{
	i64 now = w->page.now - w->page.now % USEC_PER_HOUR;

	*h = (struct hours){ .w = w, .from = now - (HOURS_SHOWN - 1) * USEC_PER_HOUR };
	h->labels = exchange_alloc(w->x, HOURS_SHOWN * sizeof(*h->labels));
	if (!h->labels) {
		web_store_failed(w);
		return false;
	}
	for (u32 i = 0; i < HOURS_SHOWN; i++)
		h->labels[i] = web_text(w, "%02u:00", (unsigned)((h->from / USEC_PER_HOUR + i) % 24));
	return true;
}

struct sums {
	i64 from;
	u64 *values;
};

static int take(void *ctx, i64 at, i64 value)
{
	struct sums *s = ctx;
	i64 i = (at - s->from) / USEC_PER_HOUR;

	if (i >= 0 && i < (i64)HOURS_SHOWN)
		s->values[i] = (u64)MAX(value, 0);
	return 0;
}

u64 *hours_of(const struct hours *h, const char *name)
{
	struct sums s = { h->from, exchange_alloc(h->w->x, HOURS_SHOWN * sizeof(u64)) };
	i64 end = h->from + HOURS_SHOWN * USEC_PER_HOUR;

	if (s.values && store_stats(h->w->x->portal->store, &h->w->account->e.id, name, h->from, end, take, &s) == 0)
		return s.values;
	web_store_failed(h->w);
	return NULL;
}

struct chart hours_chart(const struct hours *h, const char *title, const char *unit)
{
	return (struct chart){ .title = title, .unit = unit, .labels = h->labels, .n_points = HOURS_SHOWN };
}
