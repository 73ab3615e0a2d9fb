#include "applets/portal/http/held.h"

#include <stddef.h>

void held_cancel(struct held *h)
{
	if (!h->ticket)
		return;
	*h->link = h->next;
	if (h->next)
		h->next->link = h->link;
	else
		h->list->end = h->link;
	h->ticket = 0;
}

void held_add(struct held_list *l, struct held *h, u64 ticket, void (*release)(void *ctx), void *ctx)
{
	if (ticket == 0)
		return;
	held_cancel(h);
	if (!l->end)
		l->end = &l->first;
	*h = (struct held){ .list = l, .link = l->end, .ticket = ticket, .release = release, .ctx = ctx };
	*l->end = h;
	l->end = &h->next;
}

void held_release(struct held_list *l, u64 settled)
{
	while (l->first && l->first->ticket <= settled) {
		struct held *h = l->first;

		held_cancel(h);
		h->release(h->ctx);
	}
}
