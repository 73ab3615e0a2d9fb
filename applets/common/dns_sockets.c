#include "applets/common/dns_sockets_int.h"

#include <stdlib.h>
#include <string.h>

/* ---- flights ---- */

struct flight *flight_new(struct dns_sockets *s, u32 id, u8 transport, void *carrier)
{
	struct flight *fl = s->free_flights;
	if (fl)
		s->free_flights = fl->next;
	else
		fl = malloc(sizeof(*fl));
	if (!fl)
		return NULL;
	*fl = (struct flight){ .id = id, .transport = transport, .carrier = carrier };
	if (table_put(&s->flights, &id, fl)) {
		fl->next = s->free_flights;
		s->free_flights = fl;
		return NULL;
	}
	s->stats.flights = s->flights.count;
	return fl;
}

struct flight *flight_find(struct dns_sockets *s, u32 id)
{
	return table_get(&s->flights, &id);
}

void flight_free(struct dns_sockets *s, struct flight *fl)
{
	(void)table_del(&s->flights, &fl->id);
	fl->next = s->free_flights;
	s->free_flights = fl;
	s->stats.flights = s->flights.count;
}

void flight_failed(struct dns_sockets *s, struct flight *fl, u64 now, int error)
{
	u32 id = fl->id;
	flight_free(s, fl);
	forwarder_failed(s->f, now, id, error);
}

void exchange_over_limit(struct dns_sockets *s, u32 id, u64 now)
{
	s->stats.over_limit++;
	forwarder_failed(s->f, now, id, ERR_LIMIT);
}

/* ---- the forwarder ---- */

static void cancel(struct dns_sockets *s, u64 now, const struct dns_exchange *e)
{
	path_udp_flush(s, now); /* it may wait there */
	struct flight *fl = flight_find(s, e->id);
	if (!fl) {
		if (s->cfg.on_exchange)
			s->cfg.on_exchange(s->cfg.ctx, e, now);
		return;
	}
	switch ((enum dns_transport)fl->transport) {
	case DNS_OVER_UDP:
		path_udp_cancel(fl);
		break;
	case DNS_OVER_TCP:
		path_tcp_cancel(fl);
		break;
	case DNS_OVER_HTTPS:
		path_https_cancel(fl, now);
		break;
	}
	flight_free(s, fl);
}

static void start(struct dns_sockets *s, u64 now, const struct dns_exchange *e)
{
	if (e->server->is_in_tunnel) {
		if (s->cfg.on_exchange)
			s->cfg.on_exchange(s->cfg.ctx, e, now);
		else
			forwarder_failed(s->f, now, e->id, ERR_NO_ROUTE);
		return;
	}
	switch (e->transport) {
	case DNS_OVER_UDP:
		path_udp_start(s, now, e);
		break;
	case DNS_OVER_TCP:
		path_tcp_start(s, now, e);
		break;
	case DNS_OVER_HTTPS:
		path_https_start(s, now, e);
		break;
	}
}

void dns_sockets_pump(struct dns_sockets *s, u64 now)
{
	struct dns_exchange e;
	struct dns_answer a;
	bool moved;

	if (s->is_pumping)
		return; /* the one under way sees it */
	s->is_pumping = true;
	if (s->groups_revision != forwarder_revision(s->f)) {
		s->groups_revision = forwarder_revision(s->f);
		path_https_prune(s, now);
	}
	do {
		moved = false;
		while (forwarder_poll_exchange(s->f, &e)) {
			moved = true;
			if (e.is_cancel)
				cancel(s, now, &e);
			else
				start(s, now, &e);
		}
		path_udp_flush(s, now);
		while (forwarder_poll_answer(s->f, &a)) {
			moved = true;
			s->cfg.on_answer(s->cfg.ctx, &a, now);
		}
	} while (moved);
	s->is_pumping = false;
	loop_timer_set(s->loop, &s->timer, forwarder_next_timeout(s->f));
}

static void on_task(void *ctx, u64 now)
{
	dns_sockets_pump(ctx, now);
}

static void on_timer(void *ctx, u64 now)
{
	struct dns_sockets *s = ctx;
	forwarder_timeout(s->f, now);
	dns_sockets_pump(s, now);
}

static void on_sweep(void *ctx, u64 now)
{
	struct dns_sockets *s = ctx;
	if (path_udp_sweep(s, now))
		dns_sockets_sweep_later(s, now);
}

void dns_sockets_sweep_later(struct dns_sockets *s, u64 now)
{
	if (!s->sweep.is_set)
		loop_timer_set(s->loop, &s->sweep, now + DNS_SOCKETS_IDLE / 2);
}

void dns_sockets_kick(struct dns_sockets *s)
{
	loop_task_queue(s->loop, &s->task);
}

/* ---- making, changing, freeing ---- */

struct dns_sockets *dns_sockets_new(struct loop *loop, struct forwarder *f, const struct dns_sockets_config *cfg)
{
	struct dns_sockets *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->loop = loop;
	s->f = f;
	s->cfg = *cfg;
	s->task = (struct loop_task){ .cb = on_task, .ctx = s };
	s->timer = (struct loop_timer){ .cb = on_timer, .ctx = s };
	s->sweep = (struct loop_timer){ .cb = on_sweep, .ctx = s };
	s->ring = malloc(sizeof(*s->ring));
	s->read_buffer = malloc(DNS_READ_BYTES);
	table_init(&s->flights, sizeof(u32), DNS_FLIGHTS_MAX, cfg->rng);
	if (!s->ring || !s->read_buffer) {
		dns_sockets_free(s);
		return NULL;
	}
	return s;
}

static void drop_all(struct dns_sockets *s)
{
	path_udp_drop_all(s);
	path_tcp_drop_all(s);
	path_https_drop_all(s);
	const void *key;
	void *fl;
	for (u32 it = 0; table_next(&s->flights, &it, &key, &fl);) {
		((struct flight *)fl)->next = s->free_flights;
		s->free_flights = fl;
	}
	table_clear(&s->flights);
	s->stats.flights = 0;
}

void dns_sockets_free(struct dns_sockets *s)
{
	if (!s)
		return;
	drop_all(s);
	loop_task_cancel(s->loop, &s->task);
	loop_timer_clear(s->loop, &s->timer);
	loop_timer_clear(s->loop, &s->sweep);
	for (struct flight *fl = s->free_flights, *next; fl; fl = next) {
		next = fl->next;
		free(fl);
	}
	table_deinit(&s->flights);
	free(s->ring);
	free(s->read_buffer);
	free(s);
}

void dns_sockets_set_anchors(struct dns_sockets *s, const struct tls_anchors *anchors)
{
	s->cfg.anchors = anchors;
}

void dns_sockets_set_bootstrap(struct dns_sockets *s, const struct ip *servers, size_t n)
{
	s->n_bootstrap = MIN(n, (size_t)DNS_BOOTSTRAP_MAX);
	if (s->n_bootstrap > 0)
		memcpy(s->bootstrap, servers, s->n_bootstrap * sizeof(*servers));
}

void dns_sockets_prepare(struct dns_sockets *s, const struct dns_server *server)
{
	if (server->transport == DNS_OVER_HTTPS && !server->is_in_tunnel)
		path_https_prepare(s, loop_now(s->loop), server->url);
}

void dns_sockets_reset(struct dns_sockets *s)
{
	drop_all(s);
	forwarder_reset(s->f, loop_now(s->loop));
	dns_sockets_kick(s);
}

const struct dns_sockets_stats *dns_sockets_stats(const struct dns_sockets *s)
{
	return &s->stats;
}
