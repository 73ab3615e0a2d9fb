/* applets/portal/http/held.h: answers that wait until what they rest on is on the disk (store_ticket()). First come, first released. */
#pragma once

#include "core/base/types.h"

struct held_list;

struct held {
	struct held *next, **link;
	struct held_list *list;
	u64 ticket; /* 0: not held */
	void (*release)(void *ctx);
	void *ctx;
};

struct held_list {
	struct held *first, **end; /* NULL: never used */
};

/* Ticket 0 holds nothing. One that is held already leaves where it was. */
void held_add(struct held_list *l, struct held *h, u64 ticket, void (*release)(void *ctx), void *ctx);
/* The one that waits goes away; also when it does not wait. */
void held_cancel(struct held *h);
/* Calls release() of those whose ticket is at most `settled`. It may free its owner, add and cancel others. */
void held_release(struct held_list *l, u64 settled);
