#include "core/dns/proxy.h"

#include <stdlib.h>

#define NIL UINT32_MAX
#define TYPE_IXFR 251u
#define TYPE_AXFR 252u
#define OPT_LEN 11u
#define QR_BYTE 2u

/* A query in flight. `name` and `kind` tell how what is forwarded relates to what was asked. */
enum flight_kind { FLIGHT_PLAIN, FLIGHT_ALIAS, FLIGHT_SEARCH };

struct flight {
	u64 token; /* 0: free */
	struct proxy_client client;
	u64 asked;
	u32 next;  /* free list */
	u32 group; /* slot in proxy.groups */
	u32 ttl;   /* FLIGHT_ALIAS */
	u32 candidate; /* FLIGHT_SEARCH */
	u16 id, flags, udp_size, type;
	u8 kind;
	bool has_edns, is_dnssec_ok, has_client_subnet;
	struct dns_name name; /* as it was asked; only unless FLIGHT_PLAIN */
};

/* A list of servers that the forwarder knows by its place in the table. Those no rule has any more stay while something is in flight. */
struct upstreams {
	struct dns_server *servers;
	size_t n;
	u32 flights;
	bool is_used;
};

struct proxy {
	struct proxy_config cfg;
	struct split *split;
	struct clients clients;
	bool refuses_silently;
	bool has_stale; /* lists of servers that nothing refers to any more */
	struct dns_cache *cache;
	struct upstreams groups[PROXY_GROUPS_MAX];
	u32 group_of[SPLIT_GROUPS_MAX]; /* the rules' number → place */
	struct flight *flights;
	u32 n_flights, flights_used, free_flights;
	u64 next_serial;
	u8 *scratch; /* DNS_MESSAGE_MAX: composed and cut answers */
	struct proxy_stats stats;
};

struct proxy *proxy_new(const struct proxy_config *cfg)
{
	struct proxy *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->cfg = *cfg;
	p->n_flights = cfg->queries_max ? cfg->queries_max : PROXY_QUERIES_MAX;
	p->free_flights = NIL;
	p->next_serial = 1;
	p->flights = calloc(p->n_flights, sizeof(*p->flights));
	p->scratch = malloc(DNS_MESSAGE_MAX);
	if (!p->flights || !p->scratch || proxy_set_cache(p, cfg->cache_bytes) != 0) {
		proxy_free(p);
		return NULL;
	}
	return p;
}

void proxy_free(struct proxy *p)
{
	if (!p)
		return;
	for (u32 i = 0; i < PROXY_GROUPS_MAX; i++)
		free(p->groups[i].servers);
	split_free(p->split);
	clients_deinit(&p->clients);
	dns_cache_free(p->cache);
	free(p->flights);
	free(p->scratch);
	free(p);
}

int proxy_set_cache(struct proxy *p, size_t bytes)
{
	struct dns_cache *c = bytes ? dns_cache_new(DNS_CACHE_PROXY, bytes, p->cfg.rng) : NULL;

	if (bytes && !c)
		return ERR_NOMEM;
	dns_cache_free(p->cache);
	p->cache = c;
	return 0;
}

void proxy_clear_cache(struct proxy *p)
{
	if (p->cache)
		dns_cache_clear(p->cache);
}

void proxy_set_observer(struct proxy *p, void (*on_query)(void *ctx, const struct proxy_note *note), void *ctx)
{
	p->cfg.on_query = on_query;
	p->cfg.ctx = ctx;
}

const struct proxy_stats *proxy_stats(const struct proxy *p)
{
	return &p->stats;
}

const struct dns_cache_stats *proxy_cache_stats(const struct proxy *p)
{
	return p->cache ? dns_cache_stats(p->cache) : NULL;
}

const struct split *proxy_rules(const struct proxy *p)
{
	return p->split;
}

u32 proxy_group_key(const struct proxy *p, u32 group)
{
	return p->group_of[group];
}

/* --- lists of servers --- */

static void upstreams_drop(struct proxy *p, u64 now, u32 place)
{
	struct upstreams *u = &p->groups[place];
	const struct forward_group none = { 0 };

	if (u->n > 0 && forwarder_set_group(p->cfg.forwarder, now, place, &none) != 0)
		return; /* removing needs nothing: cannot be */
	free(u->servers);
	*u = (struct upstreams){ 0 };
}

/* A query of theirs is over. Dropping them has time until the forwarder's answer is no longer borrowed. */
static void upstreams_leave(struct proxy *p, u32 place)
{
	struct upstreams *u = &p->groups[place];

	if (--u->flights == 0 && !u->is_used)
		p->has_stale = true;
}

static void sweep(struct proxy *p, u64 now)
{
	p->has_stale = false;
	for (u32 i = 0; i < PROXY_GROUPS_MAX; i++)
		if (!p->groups[i].is_used && p->groups[i].flights == 0)
			upstreams_drop(p, now, i);
}

static bool upstreams_eq(const struct upstreams *u, const struct dns_server *servers, size_t n)
{
	bool is_equal = u->n == n;

	for (size_t i = 0; is_equal && i < n; i++)
		is_equal = u->servers[i].transport == servers[i].transport && endpoint_eq(&u->servers[i].addr, &servers[i].addr) &&
			   strcmp(u->servers[i].url, servers[i].url) == 0;
	return is_equal;
}

/* A place that has these servers already, else a free one, else one that nothing refers to any more. NIL: none. */
static u32 place_for(const struct proxy *p, const struct dns_server *servers, size_t n, const bool taken[static PROXY_GROUPS_MAX])
{
	u32 free_place = NIL;

	for (u32 i = PROXY_GROUPS_MAX; i-- > 0;) {
		const struct upstreams *u = &p->groups[i];
		if (!taken[i] && u->n > 0 && upstreams_eq(u, servers, n))
			return i;
		if (!taken[i] && !u->is_used && u->flights == 0)
			free_place = i;
	}
	return free_place;
}

static int place_fill(struct proxy *p, u64 now, u32 place, const struct dns_server *servers, size_t n)
{
	struct upstreams *u = &p->groups[place];
	const struct forward_group g = { .servers = servers, .n = n };

	if (upstreams_eq(u, servers, n))
		return 0;
	struct dns_server *copy = calloc(n, sizeof(*copy));
	if (!copy)
		return ERR_NOMEM;
	memcpy(copy, servers, n * sizeof(*copy));
	int rc = forwarder_set_group(p->cfg.forwarder, now, place, &g);
	if (rc != 0) {
		free(copy);
		return rc;
	}
	free(u->servers);
	u->servers = copy;
	u->n = n;
	return 0;
}

static int place_groups(struct proxy *p, u64 now, const struct split *split, u32 place_of[static SPLIT_GROUPS_MAX],
			bool taken[static PROXY_GROUPS_MAX])
{
	u32 n_groups = split_counts(split).groups;

	for (u32 i = 0; i < n_groups; i++) {
		const struct dns_server *servers = NULL;
		size_t n = split_group(split, i, &servers);
		place_of[i] = 0;
		if (n == 0)
			continue;
		u32 place = place_for(p, servers, n, taken);
		int rc = place == NIL ? ERR_LIMIT : place_fill(p, now, place, servers, n);
		if (rc != 0)
			return rc;
		taken[place] = true;
		place_of[i] = place;
	}
	return 0;
}

int proxy_set_rules(struct proxy *p, u64 now, struct split *split, struct clients *clients, bool refuses_silently)
{
	u32 place_of[SPLIT_GROUPS_MAX] = { 0 };
	bool taken[PROXY_GROUPS_MAX] = { false };
	int rc = place_groups(p, now, split, place_of, taken);

	for (u32 i = 0; i < PROXY_GROUPS_MAX && rc == 0; i++)
		p->groups[i].is_used = taken[i];
	sweep(p, now);
	if (rc != 0)
		return rc;
	memcpy(p->group_of, place_of, sizeof(place_of));
	split_free(p->split);
	clients_deinit(&p->clients);
	p->split = split;
	p->clients = *clients;
	*clients = (struct clients){ 0 };
	p->refuses_silently = refuses_silently;
	proxy_clear_cache(p);
	return 0;
}

/* --- queries in flight --- */

static struct flight *flight_take(struct proxy *p)
{
	u32 i = p->free_flights;

	if (i != NIL)
		p->free_flights = p->flights[i].next;
	else if (p->flights_used < p->n_flights)
		i = p->flights_used++;
	else
		return NULL;
	p->stats.in_flight++;
	p->flights[i].token = p->next_serial++ << 16 | i;
	return &p->flights[i];
}

static void flight_end(struct proxy *p, struct flight *f)
{
	upstreams_leave(p, f->group);
	f->token = 0;
	f->next = p->free_flights;
	p->free_flights = (u32)(f - p->flights);
	p->stats.in_flight--;
}

static struct flight *flight_find(struct proxy *p, u64 token)
{
	u64 i = token & 0xffff;

	return i < p->flights_used && p->flights[i].token == token && token ? &p->flights[i] : NULL;
}

void proxy_forget(struct proxy *p, u64 via)
{
	for (u32 i = 0; i < p->flights_used && p->stats.in_flight > 0; i++) {
		struct flight *f = &p->flights[i];
		if (!f->token || !f->client.is_tcp || f->client.via != via)
			continue;
		forwarder_forget(p->cfg.forwarder, f->token);
		flight_end(p, f);
	}
}

/* --- answers --- */

static void note(struct proxy *p, const struct proxy_client *c, const struct dns_question *q, enum proxy_outcome outcome, u32 group,
		 struct span answer, u64 took)
{
	u8 rcode = answer.n > 3 ? answer.p[3] & 15 : 0;
	const struct proxy_note n = { c, q, outcome, rcode, group, took };

	p->stats.outcomes[outcome]++;
	p->stats.servfail += answer.n > 3 && rcode == DNS_SERVFAIL;
	if (p->cfg.on_query)
		p->cfg.on_query(p->cfg.ctx, &n);
}

static size_t limit_of(const struct proxy_client *c, u16 udp_size)
{
	return c->is_tcp ? DNS_MESSAGE_MAX : MIN((size_t)udp_size, (size_t)DNS_EDNS_UDP);
}

/* `message` cut to header, question and OPT; `out` is another place. */
static size_t cut(struct proxy *p, struct span message, bool has_edns, bool is_dnssec_ok, struct mspan out)
{
	struct dns_response r;
	struct wr w = wr_init(out.p, out.n);

	if (dns_response_parse(message, &r) != 0)
		return 0;
	dns_truncate(&w, message, &r);
	if (has_edns)
		dns_opt_write(&w, DNS_EDNS_UDP, is_dnssec_ok);
	p->stats.truncated++;
	return wr_ok(&w) ? wr_len(&w) : 0;
}

static size_t make_error(struct span query, const struct dns_query *q, enum dns_rcode rcode, struct mspan out)
{
	struct wr w = wr_init(out.p, out.n);

	dns_answer_begin(&w, query, q, rcode);
	if (wr_ok(&w))
		put_be16(out.p + QR_BYTE, get_be16(out.p + QR_BYTE) | DNS_FLAG_RA);
	if (q->has_edns)
		dns_opt_write(&w, DNS_EDNS_UDP, q->is_dnssec_ok);
	return wr_ok(&w) ? wr_len(&w) : 0;
}

/* --- what comes back --- */

static void record_write(struct wr *w, const struct dns_name *owner, const struct dns_record *rec, struct span rdata)
{
	wr_bytes(w, owner->wire, owner->len);
	wr_be16(w, rec->type);
	wr_be16(w, rec->class);
	wr_be32(w, rec->ttl);
	wr_be16(w, (u16)rdata.n);
	wr_bytes(w, rdata.p, rdata.n);
}

/* How many octets stand before the one name, or the two, in data whose names may be compressed (RFC 1035; RFC 3597 §4 for SRV). */
static bool has_names(u16 type, unsigned *before, unsigned *names, unsigned *after)
{
	*before = *after = 0;
	*names = 1;
	switch (type) {
	case DNS_NS:
	case DNS_CNAME:
	case DNS_PTR:
		return true;
	case DNS_MX:
		*before = 2;
		return true;
	case DNS_SRV:
		*before = 6;
		return true;
	case DNS_SOA:
		*names = 2;
		*after = 20;
		return true;
	}
	return false;
}

static bool record_copy(struct wr *w, struct span message, const struct dns_record *rec)
{
	unsigned before, names, after;
	u8 data[2 * DNS_NAME_MAX + 32];
	struct wr d = wr_init(data, sizeof(data));
	struct dns_name name;

	if (!has_names(rec->type, &before, &names, &after)) {
		record_write(w, &rec->name, rec, rec->rdata);
		return true;
	}
	struct rd r = rd_span(rec->rdata);
	wr_bytes(&d, rd_take(&r, before), before);
	for (unsigned i = 0; i < names && rd_ok(&r); i++) {
		if (dns_name_read(&r, message, &name) != 0)
			return false;
		wr_bytes(&d, name.wire, name.len);
	}
	wr_bytes(&d, rd_take(&r, after), after);
	if (!rd_ok(&r) || !wr_ok(&d))
		return false;
	record_write(w, &rec->name, rec, wr_span(&d));
	return true;
}

/* A response without records to the question as it was asked. */
static struct wr compose_head(struct proxy *p, const struct flight *f, unsigned rcode)
{
	struct wr w = wr_init(p->scratch, DNS_MESSAGE_MAX);

	wr_be16(&w, f->id);
	wr_be16(&w, (u16)(DNS_FLAG_QR | (f->flags & (DNS_FLAG_RD | DNS_FLAG_CD)) | DNS_FLAG_RA | rcode));
	wr_be16(&w, 1);
	wr_zero(&w, 6);
	wr_bytes(&w, f->name.wire, f->name.len);
	wr_be16(&w, f->type);
	wr_be16(&w, DNS_CLASS_IN);
	return w;
}

/* The alias and the answer section of what came; 0: it cannot be told. */
static size_t compose(struct proxy *p, const struct flight *f, struct span message, const struct dns_response *r)
{
	struct wr w = compose_head(p, f, r->rcode);
	struct dns_walk walk = dns_walk(message, r);
	struct dns_record rec;
	u16 n = 1;
	u32 ttl = f->kind == FLIGHT_ALIAS ? f->ttl : PROXY_ALIAS_TTL;

	if (f->kind == FLIGHT_SEARCH && r->rcode != DNS_NOERROR)
		return wr_ok(&w) ? wr_len(&w) : 0; /* none of the names is it */
	dns_answer_name(&w, DNS_CNAME, ttl, &r->q.name);
	while (dns_walk_next(&walk, &rec) && rec.section == DNS_ANSWER && wr_ok(&w)) {
		if (!record_copy(&w, message, &rec))
			return 0;
		n++;
	}
	if (!wr_ok(&w))
		return 0;
	put_be16(p->scratch + 6, n);
	if (f->has_edns)
		dns_opt_write(&w, DNS_EDNS_UDP, f->is_dnssec_ok);
	return wr_ok(&w) ? wr_len(&w) : 0;
}

static struct dns_query query_of(const struct flight *f, const struct dns_response *r)
{
	return (struct dns_query){
		.id = f->id, .flags = f->flags, .q = r->q, .question_end = r->question_end, .has_edns = f->has_edns,
		.is_dnssec_ok = f->is_dnssec_ok, .has_client_subnet = f->has_client_subnet, .udp_size = f->udp_size,
	};
}

static void keep(struct proxy *p, u64 now, const struct flight *f, struct span message, const struct dns_response *r)
{
	struct dns_query q = query_of(f, r);

	if (p->cache && p->groups[f->group].is_used)
		dns_cache_put(p->cache, now, 0, &q, message, r);
}

static int ask(struct proxy *p, u64 now, struct flight *f, u32 place, struct span query, const struct dns_query *q)
{
	int rc = forwarder_ask(p->cfg.forwarder, now, place, query, q, f->client.is_tcp, f->token);

	if (rc == 0) {
		f->group = place;
		p->groups[place].flights++;
	}
	return rc;
}

/* Another name in the place of the one that was asked. */
static int ask_name(struct proxy *p, u64 now, struct flight *f, const struct dns_name *name, u32 place)
{
	u8 buf[DNS_HEADER_LEN + DNS_NAME_MAX + 4 + OPT_LEN];
	struct wr w = wr_init(buf, sizeof(buf));
	const struct dns_question question = { *name, f->type, DNS_CLASS_IN };
	struct dns_query q;

	dns_query_write(&w, f->id, &question, 0);
	put_be16(buf + QR_BYTE, f->flags & (DNS_FLAG_RD | DNS_FLAG_CD | DNS_FLAG_AD));
	dns_opt_write(&w, DNS_EDNS_UDP, f->is_dnssec_ok);
	if (!wr_ok(&w) || dns_query_parse(wr_span(&w), &q) != 0)
		return ERR_INTERNAL;
	return ask(p, now, f, place, wr_span(&w), &q);
}

/* The next candidate that can be asked. */
static bool ask_candidate(struct proxy *p, u64 now, struct flight *f)
{
	struct dns_name name;
	u32 group;
	int rc;

	for (;; f->candidate++) {
		rc = p->split ? split_candidate(p->split, &f->name, f->candidate, &name, &group) : ERR_NOT_FOUND;
		if (rc == ERR_NOT_FOUND)
			return false;
		u32 place = rc == 0 ? p->group_of[group] : 0;
		if (rc == 0 && p->groups[place].n > 0 && ask_name(p, now, f, &name, place) == 0)
			return true;
	}
}

static bool asks_on(struct proxy *p, u64 now, struct flight *f, const struct dns_response *r)
{
	if (f->kind != FLIGHT_SEARCH || r->rcode != DNS_NXDOMAIN)
		return false;
	u32 former = f->group;
	f->candidate++;
	if (!ask_candidate(p, now, f))
		return false;
	upstreams_leave(p, former);
	p->stats.searched++;
	return true;
}

bool proxy_answer(struct proxy *p, u64 now, const struct dns_answer *a, struct proxy_answer *out)
{
	struct flight *f = flight_find(p, a->token);
	struct dns_response r;
	struct span message = a->message;

	if (!f)
		return false;
	bool is_parsed = dns_response_parse(message, &r) == 0;
	if (is_parsed && asks_on(p, now, f, &r))
		return false;
	bool is_alias = f->kind != FLIGHT_PLAIN && is_parsed && !dns_name_eq(&r.q.name, &f->name);
	if (is_alias) {
		size_t n = compose(p, f, message, &r);
		if (n == 0) { /* whoever asked by TCP waits for something, and keeps a connection meanwhile */
			struct wr failed = compose_head(p, f, DNS_SERVFAIL);
			n = wr_len(&failed);
		}
		message = SPAN(p->scratch, n);
		is_parsed = dns_response_parse(message, &r) == 0;
	}
	if (is_parsed && a->is_from_upstream)
		keep(p, now, f, message, &r);
	if (message.n > limit_of(&f->client, f->udp_size)) {
		u8 head[DNS_HEADER_LEN + DNS_NAME_MAX + 4 + OPT_LEN];
		size_t n = cut(p, message, f->has_edns, f->is_dnssec_ok, (struct mspan){ head, sizeof(head) });
		memcpy(p->scratch, head, n);
		message = SPAN(p->scratch, n);
	}
	out->client = f->client;
	out->message = message;
	if (is_parsed)
		note(p, &f->client, &r.q, a->is_from_upstream ? PROXY_FORWARDED : PROXY_FAILED, f->group, message, time_since(now, f->asked));
	flight_end(p, f);
	return message.n > 0;
}

/* --- what is asked --- */

/* Not a query with one question: told so where it can be. */
static enum proxy_result malformed(struct proxy *p, struct span query, struct mspan out, size_t *n)
{
	p->stats.malformed++;
	if (query.n < DNS_HEADER_LEN || (get_be16(query.p + QR_BYTE) & DNS_FLAG_QR))
		return PROXY_SILENCE;
	struct wr w = wr_init(out.p, out.n);
	u16 flags = get_be16(query.p + QR_BYTE);
	wr_bytes(&w, query.p, 2);
	wr_be16(&w, (u16)(DNS_FLAG_QR | (flags & (DNS_FLAG_OPCODE | DNS_FLAG_RD)) | (DNS_OPCODE(flags) ? DNS_NOTIMP : DNS_FORMERR)));
	wr_zero(&w, 8);
	*n = wr_len(&w);
	return wr_ok(&w) ? PROXY_ANSWER : PROXY_SILENCE;
}

static enum proxy_result refuse(struct proxy *p, const struct proxy_client *c, struct span query, const struct dns_query *q, enum dns_rcode rcode,
				enum proxy_outcome outcome, struct mspan out, size_t *n)
{
	bool is_silent = outcome == PROXY_TOO_FAST || (outcome == PROXY_FOREIGN && p->refuses_silently);

	*n = is_silent ? 0 : make_error(query, q, rcode, out);
	note(p, c, &q->q, outcome, 0, SPAN(out.p, *n), 0);
	return *n > 0 ? PROXY_ANSWER : PROXY_SILENCE;
}

static enum proxy_result forward(struct proxy *p, u64 now, const struct proxy_client *c, struct span query, const struct dns_query *q,
				 const struct split_verdict *v, struct mspan out, size_t *n)
{
	struct flight *f = flight_take(p);
	bool is_asked = false;

	if (!f) {
		p->stats.over_limit++;
		return refuse(p, c, query, q, DNS_SERVFAIL, PROXY_FAILED, out, n);
	}
	f->client = *c;
	f->asked = now;
	f->candidate = 0;
	f->ttl = v->ttl;
	f->id = q->id;
	f->flags = q->flags;
	f->udp_size = q->udp_size;
	f->type = q->q.type;
	f->has_edns = q->has_edns;
	f->is_dnssec_ok = q->is_dnssec_ok;
	f->has_client_subnet = q->has_client_subnet;
	f->kind = v->action == SPLIT_ALIAS ? FLIGHT_ALIAS : v->action == SPLIT_SEARCH ? FLIGHT_SEARCH : FLIGHT_PLAIN;
	if (f->kind != FLIGHT_PLAIN)
		f->name = q->q.name;
	u32 place = p->group_of[v->group];
	switch (f->kind) {
	case FLIGHT_PLAIN:
		is_asked = ask(p, now, f, place, SPAN(query.p, q->end), q) == 0;
		break;
	case FLIGHT_ALIAS:
		is_asked = ask_name(p, now, f, &v->target, place) == 0;
		break;
	case FLIGHT_SEARCH:
		is_asked = ask_candidate(p, now, f);
		break;
	}
	if (is_asked)
		return PROXY_LATER;
	f->group = 0;
	p->groups[0].flights++; /* what flight_end() takes back */
	flight_end(p, f);
	return refuse(p, c, query, q, DNS_SERVFAIL, PROXY_FAILED, out, n);
}

static enum proxy_outcome outcome_of(enum split_reason reason)
{
	switch (reason) {
	case SPLIT_BY_RECORD:
	case SPLIT_BY_SEARCH:
		return PROXY_STATIC;
	case SPLIT_BY_SPECIAL:
		return PROXY_SPECIAL;
	case SPLIT_BY_BLOCK:
		return PROXY_BLOCKED;
	case SPLIT_BY_RULE:
	case SPLIT_BY_DEFAULT:
		return PROXY_FORWARDED;
	}
	return PROXY_FORWARDED;
}

/* The answer at hand is in p->scratch. */
static enum proxy_result give(struct proxy *p, const struct proxy_client *c, const struct dns_query *q, size_t len, enum proxy_outcome outcome,
			      struct mspan out, size_t *n)
{
	size_t limit = limit_of(c, q->udp_size);

	if (len <= limit) {
		memcpy(out.p, p->scratch, len);
		*n = len;
	} else {
		*n = cut(p, SPAN(p->scratch, len), q->has_edns, q->is_dnssec_ok, out);
	}
	note(p, c, &q->q, outcome, 0, SPAN(out.p, *n), 0);
	return *n > 0 ? PROXY_ANSWER : PROXY_SILENCE;
}

static enum proxy_result decide(struct proxy *p, u64 now, const struct proxy_client *c, struct span query, const struct dns_query *q,
				struct mspan out, size_t *n)
{
	struct wr w = wr_init(p->scratch, DNS_MESSAGE_MAX);

	if (!p->split)
		return refuse(p, c, query, q, DNS_SERVFAIL, PROXY_FAILED, out, n);
	const struct split_verdict v = split_decide(p->split, query, q, &w);
	switch (v.action) {
	case SPLIT_ANSWER:
		if (q->has_edns)
			dns_opt_write(&w, DNS_EDNS_UDP, q->is_dnssec_ok);
		if (wr_ok(&w))
			return give(p, c, q, wr_len(&w), outcome_of(v.reason), out, n);
		return refuse(p, c, query, q, DNS_SERVFAIL, PROXY_FAILED, out, n);
	case SPLIT_ASK:
	case SPLIT_ALIAS:
	case SPLIT_SEARCH:
		return forward(p, now, c, query, q, &v, out, n);
	case SPLIT_REFUSE:
		return refuse(p, c, query, q, DNS_SERVFAIL, PROXY_FAILED, out, n);
	}
	return PROXY_SILENCE;
}

/* Straight into `out`; only an answer that does not fit is looked up again, to be cut. */
static size_t cached(struct proxy *p, u64 now, const struct proxy_client *c, struct span query, const struct dns_query *q, struct mspan out)
{
	size_t limit = MIN(limit_of(c, q->udp_size), out.n);
	size_t n = dns_cache_get(p->cache, now, 0, query, q, (struct mspan){ out.p, limit });

	if (n <= limit)
		return n;
	n = dns_cache_get(p->cache, now, 0, query, q, (struct mspan){ p->scratch, DNS_MESSAGE_MAX });
	return n <= DNS_MESSAGE_MAX ? cut(p, SPAN(p->scratch, n), q->has_edns, q->is_dnssec_ok, out) : 0;
}

static bool is_supported(const struct dns_query *q)
{
	return DNS_OPCODE(q->flags) == 0 && q->q.class == DNS_CLASS_IN && q->q.type != TYPE_AXFR && q->q.type != TYPE_IXFR;
}

enum proxy_result proxy_input(struct proxy *p, u64 now, const struct proxy_client *c, struct span query, struct mspan out, size_t *n)
{
	struct dns_query q;

	*n = 0;
	if (p->has_stale)
		sweep(p, now);
	p->stats.queries++;
	p->stats.tcp_queries += c->is_tcp;
	enum client_verdict verdict = clients_judge(&p->clients, now, &c->addr.ip);
	if (verdict != CLIENT_WELCOME && (p->refuses_silently || verdict == CLIENT_TOO_FAST) && !p->cfg.on_query) { /* floods cost little */
		p->stats.outcomes[verdict == CLIENT_FOREIGN ? PROXY_FOREIGN : PROXY_TOO_FAST]++;
		return PROXY_SILENCE;
	}
	if (dns_query_parse(query, &q) != 0) {
		if (verdict == CLIENT_WELCOME)
			return malformed(p, query, out, n);
		p->stats.malformed++;
		return PROXY_SILENCE;
	}
	switch (verdict) {
	case CLIENT_WELCOME:
		break;
	case CLIENT_FOREIGN:
		return refuse(p, c, query, &q, DNS_REFUSED, PROXY_FOREIGN, out, n);
	case CLIENT_TOO_FAST:
		return refuse(p, c, query, &q, DNS_REFUSED, PROXY_TOO_FAST, out, n);
	}
	if (!is_supported(&q))
		return refuse(p, c, query, &q, DNS_OPCODE(q.flags) ? DNS_NOTIMP : DNS_REFUSED, PROXY_UNSUPPORTED, out, n);
	*n = p->cache ? cached(p, now, c, query, &q, out) : 0;
	if (*n == 0)
		return decide(p, now, c, query, &q, out, n);
	note(p, c, &q.q, PROXY_CACHED, 0, SPAN(out.p, *n), 0);
	return PROXY_ANSWER;
}
