/* tests/unit/forward_world.h: a forwarder and scripted servers in virtual time. Private to the tests of core/dns/forward.h; included once per
 * program. */
#pragma once

#include "core/base/rng.h"
#include "core/dns/forward.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#define GROUP 7u
#define SENT_MAX 4096u
#define ANSWERS_MAX 2048u

struct sent {
	u32 id;
	u8 server; /* last octet of its address */
	enum dns_transport transport;
	bool is_cancelled, is_done;
	u64 at;
	u16 dns_id;
	size_t len;
	u8 message[300];
};

struct got {
	u64 token, took, at;
	bool is_from_upstream;
	u32 server;
	size_t len;
	u8 head[300];
};

struct world {
	struct forwarder *f;
	struct rng_seeded rng;
	u64 now;
	struct sent sent[SENT_MAX];
	u32 n_sent;
	struct got got[ANSWERS_MAX];
	u32 n_got;
};

static inline struct endpoint server_addr(u8 n)
{
	return (struct endpoint){ ip4(192, 0, 2, n), 53 };
}

/* Servers 192.0.2.1, .2, … of one transport. */
static inline void set_servers(struct world *w, size_t n, enum dns_transport t, bool is_ordered)
{
	struct dns_server s[FORWARD_SERVERS_MAX] = { 0 };
	for (size_t i = 0; i < n; i++) {
		s[i].transport = t;
		s[i].addr = server_addr((u8)(i + 1));
		snprintf(s[i].url, sizeof(s[i].url), "https://dns%zu.example/q", i + 1);
	}
	struct forward_group g = { s, n, is_ordered, 0 };
	EXPECT_EQ(forwarder_set_group(w->f, w->now, GROUP, &g), 0);
}

static inline struct world *world_new(size_t servers, bool is_ordered)
{
	struct world *w = calloc(1, sizeof(*w));
	rng_seeded_init(&w->rng, 54);
	w->now = SEC(1000);
	w->f = forwarder_new(&w->rng.rng, 0);
	if (servers > 0)
		set_servers(w, servers, DNS_OVER_UDP, is_ordered);
	return w;
}

static inline void world_free(struct world *w)
{
	forwarder_free(w->f);
	free(w);
}

static inline size_t make_query(u8 *buf, size_t n, u16 id, const char *name, u16 type)
{
	struct dns_question q = { .type = type, .class = DNS_CLASS_IN };
	struct wr w = wr_init(buf, n);
	EXPECT_EQ(dns_name_from_text(name, &q.name), 0);
	dns_query_write(&w, id, &q, 0);
	EXPECT(wr_ok(&w));
	return wr_len(&w);
}

/* Exchanges and answers that are waiting. */
static inline void collect(struct world *w)
{
	struct dns_exchange e;
	struct dns_answer a;

	while (forwarder_poll_exchange(w->f, &e)) {
		if (e.is_cancel) {
			for (u32 i = 0; i < w->n_sent; i++)
				if (w->sent[i].id == e.id)
					w->sent[i].is_cancelled = true;
			continue;
		}
		struct sent *s = &w->sent[w->n_sent++ % SENT_MAX];
		*s = (struct sent){ .id = e.id, .server = e.server->addr.ip.b[3], .transport = e.transport, .at = w->now,
				    .dns_id = get_be16(e.message.p), .len = e.message.n };
		memcpy(s->message, e.message.p, MIN(e.message.n, sizeof(s->message)));
	}
	while (forwarder_poll_answer(w->f, &a)) {
		struct got *g = &w->got[w->n_got++ % ANSWERS_MAX];
		*g = (struct got){ .token = a.token, .took = a.took, .at = w->now, .is_from_upstream = a.is_from_upstream, .server = a.server,
				   .len = a.message.n };
		memcpy(g->head, a.message.p, MIN(a.message.n, sizeof(g->head)));
	}
}

static inline int ask(struct world *w, u16 id, const char *name, bool tcp, u64 token)
{
	u8 buf[300];
	struct dns_query q;
	size_t n = make_query(buf, sizeof(buf), id, name, DNS_A);
	EXPECT_EQ(dns_query_parse(SPAN(buf, n), &q), 0);
	int rc = forwarder_ask(w->f, w->now, GROUP, SPAN(buf, n), &q, tcp, token);
	collect(w);
	return rc;
}

/* Time passes; timers fire at their instants. */
static inline void run_until(struct world *w, u64 until)
{
	for (u64 t; (t = forwarder_next_timeout(w->f)) <= until;) {
		w->now = MAX(w->now, t);
		forwarder_timeout(w->f, w->now);
		collect(w);
	}
	w->now = MAX(w->now, until);
}

static inline void pass(struct world *w, u64 time)
{
	run_until(w, w->now + time);
}

/* A response to what was sent: its question, `flags` (rcode included), one A record if `has_answer`. */
static inline size_t make_response(const struct sent *s, u16 flags, bool has_answer, u8 *buf, size_t n)
{
	struct wr w = wr_init(buf, n);
	wr_bytes(&w, s->message, s->len);
	put_be16(buf + 2, (u16)(DNS_FLAG_QR | DNS_FLAG_RA | DNS_FLAG_RD | flags));
	if (has_answer) {
		put_be16(buf + 6, 1);
		wr_be16(&w, 0xc00c);
		wr_be16(&w, DNS_A);
		wr_be16(&w, DNS_CLASS_IN);
		wr_be32(&w, 300);
		wr_be16(&w, 4);
		wr_be32(&w, 0x0a000000u | s->server);
	}
	return wr_len(&w);
}

static inline void respond(struct world *w, u32 index, u16 flags)
{
	struct sent *s = &w->sent[index];
	u8 buf[512];
	struct endpoint from = server_addr(s->server);
	size_t n = make_response(s, flags, (flags & 15u) == 0 && !(flags & DNS_FLAG_TC), buf, sizeof(buf));
	s->is_done = true;
	forwarder_response(w->f, w->now, s->id, s->transport == DNS_OVER_UDP ? &from : NULL, SPAN(buf, n));
	collect(w);
}

static inline u16 got_flags(const struct got *g)
{
	return get_be16(g->head + 2);
}

static inline const struct forward_stats *st(const struct world *w)
{
	return forwarder_stats(w->f);
}
