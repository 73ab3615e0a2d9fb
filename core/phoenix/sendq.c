#include "core/phoenix/sendq.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

void sendq_init(struct sendq *o, u32 max)
{
	*o = (struct sendq){ NULL, &o->first, 0, max };
}

void sendq_item_free(struct sendq_item *item)
{
	sodium_memzero(item->text, item->event_len + 1 + item->payload_len);
	free(item);
}

void sendq_clear(struct sendq *o)
{
	struct sendq_item *item;

	while ((item = sendq_take(o)))
		sendq_item_free(item);
}

static bool is_same(const struct sendq_item *item, const char *event, struct span payload)
{
	return strcmp(item->text, event) == 0 && item->payload_len == payload.n &&
	       memcmp(item->text + item->event_len + 1, payload.p, payload.n) == 0;
}

int sendq_put(struct sendq *o, const char *event, struct span payload)
{
	size_t event_len = strlen(event);

	for (const struct sendq_item *item = o->first; item; item = item->next)
		if (is_same(item, event, payload))
			return ERR_EXISTS;
	if (o->n == o->max)
		return ERR_LIMIT;
	struct sendq_item *item = malloc(sizeof(*item) + event_len + 1 + payload.n);
	if (!item)
		return ERR_NOMEM;
	item->next = NULL;
	item->event_len = event_len;
	item->payload_len = payload.n;
	memcpy(item->text, event, event_len + 1);
	if (payload.n > 0)
		memcpy(item->text + event_len + 1, payload.p, payload.n);
	*o->last = item;
	o->last = &item->next;
	o->n++;
	return 0;
}

struct sendq_item *sendq_take(struct sendq *o)
{
	struct sendq_item *item = o->first;

	if (!item)
		return NULL;
	o->first = item->next;
	if (!o->first)
		o->last = &o->first;
	o->n--;
	return item;
}
