#include "applets/portal/http/server.h"

#include "applets/portal/http/conn.h"

#include "applets/portal/http/live.h"

#include <sodium.h>

int server_init(struct server *s)
{
	struct span key = SPAN(s->portal->secrets.token_key, sizeof(s->portal->secrets.token_key));
	const char *url = s->portal->web_url;

	s->is_https = url && strncmp(url, "https:", 6) == 0;
	hmac_sha256(s->cookie_key, key, SPAN_STR("emberbox cookies"));
	if (!s->waiting_task.cb) /* who listens before the state is open has set it, and may have queued it */
		s->waiting_task = (struct loop_task){ .cb = conn_upgrade_some, .ctx = s };
	s->portal->live = live_new(s->loop);
	if (s->portal->live && rate_init(&s->web_rate, s->portal->rng) == 0 && rate_init(&s->api_rate, s->portal->rng) == 0)
		return 0;
	server_deinit(s);
	return ERR_NOMEM;
}

void server_hold(struct server *s, struct held *h, u64 sweeps, void (*release)(void *ctx), void *ctx)
{
	const struct store *store = s->portal->store;
	u64 begun = store_sweeps(store);

	if (begun > sweeps && store_swept(store) < begun)
		held_add(&s->sweeping, h, begun, release, ctx);
	else
		held_add(&s->held, h, store_ticket(store), release, ctx);
}

void server_settled(struct server *s, u64 ticket)
{
	struct held *h;

	while ((h = s->sweeping.first) && h->ticket <= store_swept(s->portal->store)) {
		u64 now = store_ticket(s->portal->store);

		held_cancel(h);
		held_add(&s->held, h, now, h->release, h->ctx);
		if (!now)
			h->release(h->ctx);
	}
	held_release(&s->held, ticket);
	if (s->waiting)
		loop_task_queue(s->loop, &s->waiting_task);
}

void server_deinit(struct server *s)
{
	loop_task_cancel(s->loop, &s->waiting_task);
	rate_deinit(&s->web_rate);
	rate_deinit(&s->api_rate);
	crowd_deinit(&s->crowd);
	live_free(s->portal->live);
	s->portal->live = NULL;
	sodium_memzero(s->cookie_key, sizeof(s->cookie_key));
}
