#define LOG_TARGET "tunnel::client"
#include "core/tunnel/client_state.h"

#include <stdlib.h>

#define PUMP_ROUNDS_MAX 4096u /* what one door may lead to; all queues are finite, this bounds a mistake */
#define SLOT_NONE UINT32_MAX

struct asker_slot {
	struct dns_asker asker;
	u32 serial; /* of its present use; 0 = free */
	u32 next_free;
};

struct client_dns {
	struct dns_config config;
	u32 mapping;
	struct dns_cache *cache;
	bool is_cache_void; /* to be emptied before it is used again: many resources may come at once */
	struct forwarder *outside, *inside;
	struct asker_slot *askers; /* DNS_ASKERS_MAX */
	u32 first_free, n_used, next_serial;
	bool was_outside_called;
	u8 *answer; /* DNS_MESSAGE_MAX: what is written here before it leaves */
	struct client_dns_stats stats;
};

struct client_dns *names_new(struct rng *rng)
{
	struct client_dns *d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->cache = dns_cache_new(DNS_CACHE_TUNNEL, DNS_CACHE_BYTES, rng);
	d->outside = forwarder_new(rng, 0);
	d->inside = forwarder_new(rng, DNS_INSIDE_MAX);
	d->askers = calloc(DNS_ASKERS_MAX, sizeof(*d->askers));
	d->answer = malloc(DNS_MESSAGE_MAX);
	d->first_free = SLOT_NONE;
	if (!d->cache || !d->outside || !d->inside || !d->askers || !d->answer) {
		names_free(d);
		return NULL;
	}
	return d;
}

void names_free(struct client_dns *d)
{
	if (!d)
		return;
	if (d->cache)
		dns_cache_free(d->cache);
	if (d->outside)
		forwarder_free(d->outside);
	if (d->inside)
		forwarder_free(d->inside);
	dns_config_deinit(&d->config);
	free(d->askers);
	free(d->answer);
	free(d);
}

const struct dns_config *names_configured(const struct client_dns *d)
{
	return &d->config;
}

u32 names_mapping(const struct client_dns *d)
{
	return d->mapping;
}

bool names_is_sentinel(const struct client_dns *d, const struct ip *ip)
{
	return dns_config_find(&d->config, ip) >= 0;
}

static struct dns_cache *cache_of(struct client_dns *d)
{
	if (d->is_cache_void)
		dns_cache_clear(d->cache);
	d->is_cache_void = false;
	return d->cache;
}

/* --- who asked ------------------------------------------------------------------------------------------------------------------------ */

/* 0 when too many wait already. Slots are taken in order first, so that memory follows need. */
static u64 asker_keep(struct client_dns *d, const struct dns_asker *from)
{
	u32 i = d->first_free;

	if (i != SLOT_NONE)
		d->first_free = d->askers[i].next_free;
	else if (d->n_used < DNS_ASKERS_MAX)
		i = d->n_used++;
	else
		return 0;
	if (++d->next_serial == 0)
		d->next_serial = 1;
	d->askers[i] = (struct asker_slot){ .asker = *from, .serial = d->next_serial };
	return (u64)d->next_serial << 32 | i;
}

static bool asker_take(struct client_dns *d, u64 token, struct dns_asker *out)
{
	u32 i = (u32)token, serial = (u32)(token >> 32);

	if (i >= d->n_used || serial == 0 || d->askers[i].serial != serial)
		return false;
	*out = d->askers[i].asker;
	d->askers[i].serial = 0;
	d->askers[i].next_free = d->first_free;
	d->first_free = i;
	return true;
}

void names_asker_gone(struct client *c, dns_conn conn)
{
	struct client_dns *d = c->dns;
	struct dns_asker who;

	for (u32 i = 0; i < d->n_used; i++) {
		const struct asker_slot *s = &d->askers[i];
		if (!s->serial || s->asker.conn != conn)
			continue;
		u64 token = (u64)s->serial << 32 | i;
		forwarder_forget(d->outside, token);
		forwarder_forget(d->inside, token);
		d->was_outside_called = true;
		(void)asker_take(d, token, &who);
	}
}

/* --- answers --------------------------------------------------------------------------------------------------------------------------- */

/* Header and question only, when the whole is too long for a packet (spec 30 §10.4) or for the asker (RFC 6891 §6.2.5). */
static struct span fit_for_udp(struct span message, u16 udp_size, struct mspan room)
{
	struct dns_response r;
	struct wr w = wr_init(room.p, room.n);

	if (message.n <= MIN((size_t)udp_size, (size_t)UDP_PAYLOAD_MAX))
		return message;
	if (dns_response_parse(message, &r))
		return SPAN_NONE;
	dns_truncate(&w, message, &r);
	return wr_ok(&w) ? wr_span(&w) : SPAN_NONE;
}

static void reply_udp(struct client *c, const struct dns_asker *to, struct span message)
{
	u8 short_answer[UDP_PAYLOAD_MAX];
	u8 *slot = tun_queue_slot(&c->out);
	struct span fitting = fit_for_udp(message, to->udp_size, (struct mspan){ short_answer, sizeof(short_answer) });

	if (!slot) {
		client_drop(c, DROP_REPLY_FULL, 1);
		return;
	}
	if (fitting.n == 0)
		return;
	c->dns->stats.truncated += fitting.p != message.p;
	u32 len = udp_packet_write(&to->sentinel, &to->remote, fitting, slot);
	if (len > 0)
		tun_queue_push(&c->out, len);
}

static void reply(struct client *c, const struct dns_asker *to, struct span message)
{
	if (to->conn)
		names_tcp_reply(c, to->conn, message);
	else
		reply_udp(c, to, message);
}

static void reply_servfail(struct client *c, const struct dns_asker *to, struct span query, const struct dns_query *q)
{
	u8 buf[DNS_UDP_MIN];
	struct wr w = wr_init(buf, sizeof(buf));

	dns_answer_begin(&w, query, q, DNS_SERVFAIL);
	c->dns->stats.servfail++;
	if (wr_ok(&w))
		reply(c, to, wr_span(&w));
}

void names_answer(struct client *c, u64 token, struct span message)
{
	struct dns_asker who;
	if (asker_take(c->dns, token, &who))
		reply(c, &who, message);
}

void names_answer_servfail(struct client *c, u64 token, struct span query)
{
	struct dns_asker who;
	struct dns_query q;

	if (asker_take(c->dns, token, &who) && dns_query_parse(query, &q) == 0)
		reply_servfail(c, &who, query, &q);
}

/* --- questions ------------------------------------------------------------------------------------------------------------------------- */

static int ask_upstream(struct client *c, const struct dns_asker *from, struct span query, const struct dns_query *q)
{
	struct client_dns *d = c->dns;
	int i = dns_config_find(&d->config, &from->sentinel.ip);
	u64 token = i < 0 ? 0 : asker_keep(d, from);
	struct dns_asker who;

	if (!token)
		return i < 0 ? ERR_NOT_FOUND : ERR_LIMIT;
	struct forwarder *f = d->config.upstreams[i].server.is_in_tunnel ? d->inside : d->outside;
	d->was_outside_called = d->was_outside_called || f == d->outside;
	int rc = forwarder_ask(f, c->now, (u32)i, query, q, from->conn != 0, token);
	if (rc)
		(void)asker_take(d, token, &who);
	return rc;
}

static void ask_site(struct client *c, struct resource *r, const struct dns_asker *from, struct span query, const struct dns_query *q)
{
	u64 token = asker_keep(c->dns, from);
	if (token)
		inside_site_query(c, r, from, token, query);
	else
		reply_servfail(c, from, query, q);
}

int names_serve(struct client *c, struct dns_asker *from, struct span query)
{
	struct client_dns *d = c->dns;
	size_t room = from->conn ? DNS_MESSAGE_MAX : UDP_PAYLOAD_MAX;
	struct wr w = wr_init(d->answer, room);
	char text[DNS_NAME_STRLEN];
	struct stub_answer stub;
	struct dns_query q;

	if (dns_query_parse(query, &q)) {
		d->stats.malformed++;
		return ERR_MALFORMED;
	}
	d->stats.queries++;
	from->udp_size = q.udp_size;
	log_trace("query", kv_s("name", dns_name_text(&q.q.name, text)), kv_u("type", q.q.type), kv_ep("from", &from->remote));
	if (!from->conn)
		room = MIN(room, (size_t)q.udp_size);
	size_t n = dns_cache_get(cache_of(d), c->now, 0, query, &q, (struct mspan){ d->answer, room });
	if (n > 0 && n <= room) {
		d->stats.cached++;
		reply(c, from, SPAN(d->answer, n));
		return 0;
	}
	switch (stub_decide(c->stub, query, &q, &w, &stub)) {
	case STUB_LOCAL:
		d->stats.local++;
		if (stub.has_new_routes)
			flow_cache_clear(&c->cache);
		if (wr_ok(&w))
			reply(c, from, wr_span(&w));
		if (stub.record)
			dns_nat_query(c, stub.record);
		break;
	case STUB_SITE:
		d->stats.site++;
		ask_site(c, stub.owner, from, query, &q);
		break;
	case STUB_FORWARD:
		d->stats.forwarded++;
		if (ask_upstream(c, from, query, &q))
			reply_servfail(c, from, query, &q);
		break;
	}
	return 0;
}

static void input_udp(struct client *c, const u8 *data, const struct packet *p)
{
	struct dns_asker from = { .sentinel = { p->dst, p->dst_port }, .remote = { p->src, p->src_port } };
	struct span query;

	if (udp_packet_read(data, p, &query) || names_serve(c, &from, query))
		client_drop(c, DROP_MALFORMED, 1);
}

void names_input(struct client *c, struct segmenter *s)
{
	u8 data[TUNNEL_MTU];
	struct packet p;
	u32 len;

	c->is_dns_busy = true;
	while ((len = segment_next_len(s)) > 0) {
		segment_write(s, data);
		if (packet_parse(data, len, TUNNEL_MTU, &p))
			client_drop(c, DROP_MALFORMED, 1);
		else if (p.kind == L4_UDP && p.dst_port == DNS_PORT)
			input_udp(c, data, &p);
		else if (p.kind == L4_TCP && p.dst_port == DNS_PORT)
			names_tcp_input(c, data, &p);
		else
			client_drop(c, DROP_NO_ROUTE, 1);
	}
}

/* --- which servers --------------------------------------------------------------------------------------------------------------------- */

/* Spec 30 §10.3. */
static bool goes_inside(const struct client *c, const struct dns_server *s)
{
	return c->dns->config.is_from_portal && s->transport == DNS_OVER_UDP &&
	       (internet_is_active(c) || routes_cover(&c->cidrs, &s->addr.ip));
}

static void group_set(struct client *c, struct forwarder *f, u32 i, const struct dns_server *s, u64 timeout)
{
	struct forward_group g = { .servers = s, .n = s ? 1 : 0, .timeout = timeout };
	int rc = forwarder_set_group(f, c->now, i, &g);
	c->dns->was_outside_called = true;
	if (rc)
		log_warn("a DNS server cannot be used", kv_u("number", i), kv_err(rc));
}

static void group_place(struct client *c, u32 i)
{
	struct client_dns *d = c->dns;
	const struct dns_server *s = &d->config.upstreams[i].server;

	group_set(c, d->inside, i, s->is_in_tunnel ? s : NULL, DNS_INSIDE_TIMEOUT);
	group_set(c, d->outside, i, s->is_in_tunnel ? NULL : s, FORWARD_TIMEOUT);
}

/* Which servers are asked through the tunnel from now on. */
static void ways_changed(struct client *c)
{
	struct client_dns *d = c->dns;

	for (u32 i = 0; i < d->config.n; i++) {
		struct dns_server *s = &d->config.upstreams[i].server;
		bool is_inside = goes_inside(c, s);
		if (is_inside == s->is_in_tunnel)
			continue;
		s->is_in_tunnel = is_inside;
		group_place(c, i);
		c->is_dns_busy = true;
	}
}

void names_tables_changed(struct client *c)
{
	c->dns->is_cache_void = true;
	ways_changed(c);
}

static void mapping_changed(struct client *c, size_t n_before)
{
	struct client_dns *d = c->dns;

	d->mapping++;
	c->is_dns_busy = c->is_tun_dirty = true;
	flow_cache_clear(&c->cache);
	d->is_cache_void = true;
	for (u32 i = 0; i < d->config.n; i++) {
		struct dns_server *s = &d->config.upstreams[i].server;
		s->is_in_tunnel = goes_inside(c, s);
		group_place(c, i);
	}
	for (u32 i = (u32)d->config.n; i < n_before; i++) {
		group_set(c, d->inside, i, NULL, 0);
		group_set(c, d->outside, i, NULL, 0);
	}
	names_tcp_listen(c);
	log_info("DNS servers changed", kv_u("count", d->config.n), kv_s("source", d->config.is_from_portal ? "portal" : "system"));
}

static void configured(struct client *c, size_t n_before, int rc)
{
	if (rc < 0)
		log_warn("no memory for DNS servers");
	else if (rc > 0)
		mapping_changed(c, n_before);
	else
		ways_changed(c); /* the same servers may come from elsewhere now; cached answers stay (spec 30 §10.5) */
}

void names_set_portal(struct client *c, const struct msg_interface *i)
{
	size_t before = c->dns->config.n;
	configured(c, before, dns_config_set_portal(&c->dns->config, i->upstream_do53, i->n_upstream_do53, i->upstream_doh, i->n_upstream_doh));
}

void client_set_system_resolvers(struct client *c, u64 now, const struct ip *list, size_t n)
{
	size_t before = c->dns->config.n;
	c->now = now;
	configured(c, before, dns_config_set_system(&c->dns->config, list, n));
	names_pump(c);
}

/* --- exchanges outside the tunnel ------------------------------------------------------------------------------------------------------ */

bool client_poll_exchange(struct client *c, struct dns_exchange *out)
{
	return forwarder_poll_exchange(c->dns->outside, out);
}

void client_exchange_response(struct client *c, u64 now, u32 id, const struct endpoint *from, struct span message)
{
	c->now = now;
	forwarder_response(c->dns->outside, now, id, from, message);
	c->is_dns_busy = true;
	names_pump(c);
}

void client_exchange_failed(struct client *c, u64 now, u32 id, int error)
{
	c->now = now;
	forwarder_failed(c->dns->outside, now, id, error);
	c->is_dns_busy = true;
	names_pump(c);
}

/* --- time, and what follows from all this ---------------------------------------------------------------------------------------------- */

static void pass_answer(struct client *c, const struct dns_answer *a)
{
	struct dns_response r;

	/* A name that became a resource's while it was asked for must not hide behind its answer. */
	if (a->is_from_upstream && dns_response_parse(a->message, &r) == 0 && !stub_covers(c->stub, &r.q.name)) {
		struct dns_query q = { .id = r.id, .flags = r.flags, .q = r.q, .question_end = r.question_end };
		dns_cache_put(cache_of(c->dns), c->now, 0, &q, a->message, &r);
	}
	if (!a->is_from_upstream)
		c->dns->stats.servfail++;
	names_answer(c, a->token, a->message);
}

static bool take_answer(struct client *c, struct forwarder *f)
{
	struct dns_answer a;

	if (!forwarder_poll_answer(f, &a))
		return false;
	pass_answer(c, &a);
	return true;
}

struct forwarder *client_forwarder(struct client *c)
{
	return c->dns->outside;
}

bool client_forwarder_was_called(struct client *c)
{
	bool was = c->dns->was_outside_called;
	c->dns->was_outside_called = false;
	return was;
}

void client_forwarder_answer(struct client *c, u64 now, const struct dns_answer *a)
{
	c->now = now;
	pass_answer(c, a);
	c->is_dns_busy = true;
	names_pump(c);
}

static bool take_exchange(struct client *c)
{
	struct dns_exchange ex;

	if (!forwarder_poll_exchange(c->dns->inside, &ex))
		return false;
	inside_exchange(c, &ex);
	return true;
}

void names_pump(struct client *c)
{
	for (u32 i = 0; c->is_dns_busy && i < PUMP_ROUNDS_MAX; i++) {
		c->is_dns_busy = false;
		bool went_on = take_exchange(c);
		went_on = take_answer(c, c->dns->inside) || went_on;
		went_on = take_answer(c, c->dns->outside) || went_on;
		went_on = names_tcp_pump(c) || went_on;
		c->is_dns_busy = c->is_dns_busy || went_on;
	}
}

void names_reset(struct client *c)
{
	forwarder_reset(c->dns->inside, c->now);
	forwarder_reset(c->dns->outside, c->now);
	c->dns->was_outside_called = true;
	inside_reset(c);
	names_tcp_reset(c);
	c->is_dns_busy = true;
	names_pump(c);
}

void names_timeout(struct client *c)
{
	struct client_dns *d = c->dns;

	if (c->now >= forwarder_next_timeout(d->outside)) {
		forwarder_timeout(d->outside, c->now);
		c->is_dns_busy = d->was_outside_called = true;
	}
	if (c->now >= forwarder_next_timeout(d->inside)) {
		forwarder_timeout(d->inside, c->now);
		c->is_dns_busy = true;
	}
	inside_timeout(c);
	names_tcp_timeout(c);
	names_pump(c);
}

u64 names_next_timeout(const struct client *c)
{
	u64 outside = forwarder_next_timeout(c->dns->outside), inside = forwarder_next_timeout(c->dns->inside);
	return time_min(time_min(outside, inside), time_min(inside_next_timeout(c), names_tcp_next_timeout(c)));
}

bool names_inside_response(struct client *c, u32 id, const struct endpoint *from, struct span message)
{
	c->is_dns_busy = true;
	return forwarder_response(c->dns->inside, c->now, id, from, message);
}

void names_inside_failed(struct client *c, u32 id, int error)
{
	forwarder_failed(c->dns->inside, c->now, id, error);
	c->is_dns_busy = true;
}

const struct client_dns_stats *client_dns_stats(const struct client *c)
{
	return &c->dns->stats;
}

size_t client_dns_servers(const struct client *c, const struct dns_upstream **out)
{
	*out = c->dns->config.upstreams;
	return c->dns->config.n;
}
