#include "core/dns/lookup.h"

#include "core/base/heap.h"
#include "core/dns/lookup_int.h"

#include <stdlib.h>
#include <string.h>

#define VIEW 0u /* of the cache */
#define TOKEN_SLOT_BITS 10
#define TOKEN_SERIAL_BITS 52
#define MESSAGE_BYTES 4096u /* longer answers are not taken from the cache */

/* asking ── both families of a candidate known ──▶ asking the next, or done ── polled ──▶ freed */
struct job {
	struct heap_node timer;
	struct job *next; /* done */
	u64 token, serial;
	u32 slot;
	bool has_failed;
	bool waits[2]; /* A, AAAA: an answer of the forwarder */
	int error;
	struct ip ips[2][LOOKUP_ADDRESSES_MAX];
	u32 n[2];
	u32 candidate, n_candidates;
	struct dns_name candidates[];
};

struct lookup {
	struct forwarder *f;
	u32 group;
	struct rng *rng;
	struct dns_cache *cache;
	struct lookup_conf conf;
	struct hosts hosts;
	struct job *jobs[LOOKUPS_MAX]; /* those not done */
	u32 n_free;
	u16 free_slots[LOOKUPS_MAX];
	u64 next_serial;
	struct heap heap;
	struct job *done, **done_tail;
	struct ip lent[2 * LOOKUP_ADDRESSES_MAX];
	struct lookup_stats stats;
};

static const u16 types[2] = { DNS_A, DNS_AAAA };

/* ---- making and freeing ---- */

struct lookup *lookup_new(struct forwarder *f, u32 group, struct rng *rng)
{
	struct lookup *l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->f = f;
	l->group = group;
	l->rng = rng;
	l->hosts.key = siphash_key_draw(rng);
	l->done_tail = &l->done;
	for (l->n_free = 0; l->n_free < LOOKUPS_MAX; l->n_free++)
		l->free_slots[l->n_free] = (u16)l->n_free;
	heap_init(&l->heap, LOOKUPS_MAX);
	lookup_conf_parse(&l->conf, SPAN_NONE, NULL);
	l->cache = dns_cache_new(DNS_CACHE_PROXY, LOOKUP_CACHE_BYTES, rng);
	if (!l->cache || heap_reserve(&l->heap, LOOKUPS_MAX)) {
		lookup_free(l);
		return NULL;
	}
	return l;
}

static u64 forwarder_token(const struct job *j, u32 family)
{
	u64 serial = j->serial & ((1ull << TOKEN_SERIAL_BITS) - 1);
	return LOOKUP_TOKEN | serial << (TOKEN_SLOT_BITS + 1) | (u64)j->slot << 1 | family;
}

static void forget_questions(struct lookup *l, struct job *j)
{
	for (u32 family = 0; family < 2; family++) {
		if (j->waits[family])
			forwarder_forget(l->f, forwarder_token(j, family));
		j->waits[family] = false;
	}
}

static void release_slot(struct lookup *l, struct job *j)
{
	heap_disarm(&l->heap, &j->timer);
	l->jobs[j->slot] = NULL;
	l->free_slots[l->n_free++] = (u16)j->slot;
	l->stats.under_way--;
}

void lookup_free(struct lookup *l)
{
	if (!l)
		return;
	for (u32 i = 0; i < LOOKUPS_MAX; i++) {
		if (l->jobs[i])
			forget_questions(l, l->jobs[i]);
		free(l->jobs[i]);
	}
	while (l->done) {
		struct job *j = l->done;
		l->done = j->next;
		free(j);
	}
	free(l->hosts.entries);
	heap_deinit(&l->heap);
	dns_cache_free(l->cache);
	free(l);
}

void lookup_set_conf(struct lookup *l, const struct lookup_conf *c)
{
	l->conf = *c;
	dns_cache_clear(l->cache);
}

int lookup_set_hosts(struct lookup *l, struct span text)
{
	int rc = hosts_load(&l->hosts, text);
	l->stats.hosts = l->hosts.n;
	l->stats.hosts_left_out = l->hosts.left_out;
	return rc;
}

void lookup_clear_cache(struct lookup *l)
{
	dns_cache_clear(l->cache);
}

/* ---- answers ---- */

static void add_ip(struct job *j, const struct ip *ip)
{
	u32 family = ip->family == 6;
	for (u32 i = 0; i < j->n[family]; i++)
		if (ip_eq(&j->ips[family][i], ip))
			return;
	if (j->n[family] < LOOKUP_ADDRESSES_MAX)
		j->ips[family][j->n[family]++] = *ip;
}

struct chain {
	struct dns_name owner[LOOKUP_CNAMES_MAX], target[LOOKUP_CNAMES_MAX];
	u32 n;
};

/* The name that `name` stands for in the end; a loop ends as it began, at a name without addresses. */
static const struct dns_name *follow(const struct chain *c, const struct dns_name *name)
{
	for (u32 links = 0; links < c->n; links++) {
		u32 i = 0;
		while (i < c->n && !dns_name_eq(&c->owner[i], name))
			i++;
		if (i == c->n)
			break;
		name = &c->target[i];
	}
	return name;
}

static void take_addresses(struct job *j, u32 family, struct span message, const struct dns_response *r)
{
	struct chain chain;
	struct dns_record rec;
	struct ip ip;

	chain.n = 0;
	for (struct dns_walk w = dns_walk(message, r); dns_walk_next(&w, &rec) && rec.section == DNS_ANSWER;) {
		if (rec.type != DNS_CNAME || chain.n == LOOKUP_CNAMES_MAX)
			continue;
		chain.owner[chain.n] = rec.name;
		chain.n += dns_record_name(&rec, message, &chain.target[chain.n]) == 0;
	}
	const struct dns_name *name = follow(&chain, &r->q.name);
	for (struct dns_walk w = dns_walk(message, r); dns_walk_next(&w, &rec) && rec.section == DNS_ANSWER;)
		if (rec.type == types[family] && rec.class == DNS_CLASS_IN && dns_name_eq(&rec.name, name) && dns_record_ip(&rec, &ip) == 0)
			add_ip(j, &ip);
}

/* One family of the present candidate is known. */
static void take_answer(struct job *j, u32 family, struct span message, const struct dns_response *r)
{
	if (r->rcode == DNS_NOERROR)
		take_addresses(j, family, message, r);
	else if (r->rcode != DNS_NXDOMAIN)
		j->has_failed = true;
}

/* ---- going through the candidates ---- */

static void finish(struct lookup *l, struct job *j, int error)
{
	forget_questions(l, j);
	release_slot(l, j);
	j->error = error;
	j->next = NULL;
	*l->done_tail = j;
	l->done_tail = &j->next;
	l->stats.finished++;
	if (error == ERR_TIMEOUT)
		l->stats.timed_out++;
	else if (j->n[0] + j->n[1] == 0 && j->has_failed)
		l->stats.failed++;
	else if (j->n[0] + j->n[1] == 0)
		l->stats.empty++;
}

static void ask(struct lookup *l, u64 now, struct job *j, u32 family)
{
	u8 buf[DNS_HEADER_LEN + DNS_NAME_MAX + 4 + 11], hit[MESSAGE_BYTES];
	struct dns_question q = { .name = j->candidates[j->candidate], .type = types[family], .class = DNS_CLASS_IN };
	struct dns_query parsed;
	struct dns_response r;
	struct wr w = wr_init(buf, sizeof(buf));

	dns_query_write(&w, (u16)rng_u32(l->rng), &q, DNS_EDNS_UDP);
	if (!wr_ok(&w) || dns_query_parse(wr_span(&w), &parsed)) {
		j->has_failed = true;
		return;
	}
	size_t n = dns_cache_get(l->cache, now, VIEW, wr_span(&w), &parsed, (struct mspan){ hit, sizeof(hit) });
	if (n > 0 && n <= sizeof(hit) && dns_response_parse(SPAN(hit, n), &r) == 0) {
		l->stats.from_cache++;
		take_answer(j, family, SPAN(hit, n), &r);
		return;
	}
	if (forwarder_ask(l->f, now, l->group, wr_span(&w), &parsed, false, forwarder_token(j, family))) {
		j->has_failed = true;
		return;
	}
	l->stats.queries++;
	j->waits[family] = true;
}

/* Asks from the present candidate on until something has to be waited for. */
static void ask_candidates(struct lookup *l, u64 now, struct job *j)
{
	for (; j->candidate < j->n_candidates; j->candidate++) {
		j->serial = l->next_serial++;
		ask(l, now, j, 0);
		ask(l, now, j, 1);
		if (j->waits[0] || j->waits[1])
			return;
		if (j->n[0] + j->n[1] > 0)
			break;
	}
	finish(l, j, 0);
}

void lookup_answer(struct lookup *l, u64 now, const struct dns_answer *a)
{
	u32 family = a->token & 1, slot = a->token >> 1 & ((1u << TOKEN_SLOT_BITS) - 1);
	struct job *j = slot < LOOKUPS_MAX ? l->jobs[slot] : NULL;
	struct dns_response r;
	struct dns_query q = { .q = { .type = types[family], .class = DNS_CLASS_IN }, .flags = DNS_FLAG_RD, .has_edns = true,
			       .udp_size = DNS_EDNS_UDP };

	if (!j || !j->waits[family] || forwarder_token(j, family) != a->token)
		return;
	j->waits[family] = false;
	q.q.name = j->candidates[j->candidate];
	q.question_end = DNS_HEADER_LEN + q.q.name.len + 4u;
	if (dns_response_parse(a->message, &r) || !dns_response_matches(&r, &q.q)) {
		j->has_failed = true;
	} else {
		if (a->is_from_upstream)
			dns_cache_put(l->cache, now, VIEW, &q, a->message, &r);
		take_answer(j, family, a->message, &r);
	}
	if (j->waits[0] || j->waits[1])
		return;
	if (j->n[0] + j->n[1] > 0) {
		finish(l, j, 0);
		return;
	}
	j->candidate++;
	ask_candidates(l, now, j);
}

/* ---- asking ---- */

static bool is_localhost(const struct dns_name *name)
{
	static const u8 wire[] = { 9, 'l', 'o', 'c', 'a', 'l', 'h', 'o', 's', 't', 0 };
	struct dns_name localhost = { .len = sizeof(wire) };
	memcpy(localhost.wire, wire, sizeof(wire));
	return dns_name_is_under(name, &localhost);
}

/* True when no server is needed. */
static bool answer_locally(struct lookup *l, struct job *j, const struct dns_name *name)
{
	static const u8 loopback6[16] = { [15] = 1 };
	const struct ip loopback[2] = { ip4(127, 0, 0, 1), ip_from_bytes(6, loopback6) };
	u32 n;
	const struct hosts_entry *e = hosts_find(&l->hosts, name, &n);

	for (u32 i = 0; i < n; i++)
		add_ip(j, &e[i].ip);
	l->stats.from_hosts += n > 0;
	if (n == 0 && is_localhost(name)) {
		add_ip(j, &loopback[0]);
		add_ip(j, &loopback[1]);
	}
	return j->n[0] + j->n[1] > 0;
}

static void add_candidate(struct job *j, const struct dns_name *name)
{
	for (u32 i = 0; i < j->n_candidates; i++)
		if (dns_name_eq(&j->candidates[i], name))
			return;
	j->candidates[j->n_candidates++] = *name;
}

static void set_candidates(const struct lookup *l, struct job *j, const struct dns_name *name, bool is_absolute)
{
	bool is_first = is_absolute || dns_name_labels(name) > l->conf.ndots;
	if (is_first)
		add_candidate(j, name);
	for (u32 i = 0; i < l->conf.n_search && !is_absolute; i++) {
		struct dns_name longer = *name;
		if (dns_name_append(&longer, &l->conf.search[i]) == 0)
			add_candidate(j, &longer);
	}
	if (!is_first)
		add_candidate(j, name);
}

/* An unescaped final dot. */
static bool is_absolute_text(const char *name, size_t len)
{
	size_t slashes = 0;
	if (len == 0 || name[len - 1] != '.')
		return false;
	while (slashes + 1 < len && name[len - 2 - slashes] == '\\')
		slashes++;
	return slashes % 2 == 0;
}

int lookup_start(struct lookup *l, u64 now, const char *text, u64 token)
{
	size_t len = strlen(text);
	struct dns_name name;
	struct ip literal = { 0 };
	bool is_literal = ip_parse(SPAN(text, len), &literal) == 0;

	if (!is_literal && dns_name_from_text(text, &name))
		return ERR_INVAL;
	if (l->n_free == 0) {
		l->stats.refused_limit++;
		return ERR_LIMIT;
	}
	size_t room = is_literal ? 0 : l->conf.n_search + 1;
	struct job *j = malloc(sizeof(*j) + room * sizeof(struct dns_name));
	if (!j)
		return ERR_NOMEM;
	memset(j, 0, sizeof(*j));
	j->token = token;
	j->slot = l->free_slots[--l->n_free];
	l->jobs[j->slot] = j;
	l->stats.started++;
	l->stats.under_way++;
	(void)heap_arm(&l->heap, &j->timer, now + LOOKUP_TIMEOUT); /* room was reserved */
	if (is_literal) {
		add_ip(j, &literal);
		finish(l, j, 0);
	} else if (answer_locally(l, j, &name)) {
		finish(l, j, 0);
	} else {
		set_candidates(l, j, &name, is_absolute_text(text, len));
		ask_candidates(l, now, j);
	}
	return 0;
}

void lookup_cancel(struct lookup *l, u64 token)
{
	for (u32 i = 0; i < LOOKUPS_MAX; i++) {
		struct job *j = l->jobs[i];
		if (!j || j->token != token)
			continue;
		forget_questions(l, j);
		release_slot(l, j);
		free(j);
	}
	for (struct job **at = &l->done; *at;) {
		struct job *j = *at;
		if (j->token != token) {
			at = &j->next;
			continue;
		}
		*at = j->next;
		free(j);
	}
	l->done_tail = &l->done;
	while (*l->done_tail)
		l->done_tail = &(*l->done_tail)->next;
}

bool lookup_poll(struct lookup *l, struct lookup_result *out)
{
	struct job *j = l->done;
	if (!j)
		return false;
	l->done = j->next;
	if (!l->done)
		l->done_tail = &l->done;
	memcpy(l->lent, j->ips[0], j->n[0] * sizeof(struct ip));
	memcpy(l->lent + j->n[0], j->ips[1], j->n[1] * sizeof(struct ip));
	*out = (struct lookup_result){ .token = j->token, .error = j->error, .ips = l->lent, .n4 = j->n[0], .n6 = j->n[1],
				       .is_failure = j->has_failed && j->n[0] + j->n[1] == 0 };
	free(j);
	return true;
}

void lookup_timeout(struct lookup *l, u64 now)
{
	for (struct heap_node *n; (n = heap_pop_due(&l->heap, now)) != NULL;) {
		struct job *j = container_of(n, struct job, timer);
		finish(l, j, j->n[0] + j->n[1] > 0 ? 0 : ERR_TIMEOUT);
	}
}

u64 lookup_next_timeout(const struct lookup *l)
{
	return heap_next(&l->heap);
}

const struct lookup_stats *lookup_stats(const struct lookup *l)
{
	return &l->stats;
}
