#include "core/tunnel/client_stub.h"

#include "core/base/table.h"

#include <assert.h>
#include <stdlib.h>

#define V4_FIRST 0x64600000u     /* 100.96.0.0 */
#define V4_SENTINELS 0x64646f00u /* 100.100.111.0 */
#define V4_SENTINELS_COUNT 256u
#define V4_ADDRESSES 2097152u /* of a /11 */
#define V6_LAST_OFFSET 12     /* the octets of fd00:2021:1111:8000::/107 in which its addresses differ */

static_assert(STUB_NAMES_MAX <= (V4_ADDRESSES - 2 - V4_SENTINELS_COUNT) / STUB_PROXIES, "every name has IPv4 addresses");

struct stub {
	struct stub_pattern *patterns; /* present */
	struct stub_pattern *former;   /* of resources that went away, remembered by records */
	struct table patterns_by_id;   /* present ones */
	u32 n_patterns;
	struct stub_record **records;
	u32 n_records, records_room;
	struct table by_hash; /* keyed hash of the folded name → records */
	struct siphash_key key;
	struct stub_stats stats;
};

struct stub *stub_new(struct rng *rng)
{
	struct stub *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->key = siphash_key_draw(rng);
	table_init(&s->patterns_by_id, sizeof(struct uuid), STUB_PATTERNS_MAX, rng);
	table_init(&s->by_hash, sizeof(u64), STUB_NAMES_MAX, rng);
	return s;
}

static void patterns_free(struct stub_pattern *p)
{
	while (p) {
		struct stub_pattern *next = p->next;
		free(p);
		p = next;
	}
}

void stub_free(struct stub *s)
{
	if (!s)
		return;
	for (u32 i = 0; i < s->n_records; i++) {
		struct stub_record *r = s->records[i];
		while (r->pairs) {
			struct stub_pair *pair = r->pairs;
			r->pairs = pair->next;
			free(pair);
		}
		free(r);
	}
	patterns_free(s->patterns);
	patterns_free(s->former);
	free(s->records);
	table_deinit(&s->patterns_by_id);
	table_deinit(&s->by_hash);
	free(s);
}

/* --- patterns ------------------------------------------------------------------------------------------------------------------------ */

static void pattern_link(struct stub_pattern **list, struct stub_pattern *p)
{
	p->next = *list;
	p->link = list;
	if (p->next)
		p->next->link = &p->next;
	*list = p;
}

static void pattern_unlink(struct stub_pattern *p)
{
	*p->link = p->next;
	if (p->next)
		p->next->link = p->link;
}

/* One that a record remembers from an earlier life of the same resource, taken out. */
static struct stub_pattern *take_former(struct stub *s, const struct uuid *id, const struct dns_pattern *pattern)
{
	for (struct stub_pattern *p = s->former; p; p = p->next)
		if (uuid_eq(&p->id, id) && dns_pattern_cmp(&p->pattern, pattern) == 0) {
			pattern_unlink(p);
			return p;
		}
	return NULL;
}

static struct stub_pattern *pattern_make(struct stub *s, const struct uuid *id, const struct dns_pattern *pattern)
{
	if (s->n_patterns == STUB_PATTERNS_MAX)
		return NULL;
	struct stub_pattern *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->id = *id;
	p->pattern = *pattern;
	s->n_patterns++;
	return p;
}

/* Gone for good unless a record remembers it. */
static void pattern_retire(struct stub *s, struct stub_pattern *p)
{
	pattern_unlink(p);
	p->owner = NULL;
	p->filter = NULL;
	if (p->n_records > 0) {
		pattern_link(&s->former, p);
		return;
	}
	s->n_patterns--;
	free(p);
}

int stub_add(struct stub *s, const struct uuid *id, const char *pattern, enum msg_ip_stack stack, const struct filter *filter, void *owner)
{
	struct dns_pattern parsed;
	int rc = dns_pattern_init(&parsed, pattern);

	if (rc)
		return rc;
	if (table_get(&s->patterns_by_id, id))
		return ERR_EXISTS;
	struct stub_pattern *p = take_former(s, id, &parsed);
	if (!p && !(p = pattern_make(s, id, &parsed)))
		return s->n_patterns == STUB_PATTERNS_MAX ? ERR_LIMIT : ERR_NOMEM;
	pattern_link(&s->patterns, p);
	p->ip_stack = stack;
	p->filter = filter;
	p->owner = owner;
	rc = table_put(&s->patterns_by_id, id, p);
	if (rc)
		pattern_retire(s, p);
	return rc;
}

void stub_remove(struct stub *s, const struct uuid *id)
{
	struct stub_pattern *p = table_del(&s->patterns_by_id, id);
	if (p)
		pattern_retire(s, p);
}

/* > 0: `a` goes first. */
static int by_specificity(const struct stub_pattern *a, const struct stub_pattern *b)
{
	int order = dns_pattern_cmp(&a->pattern, &b->pattern);
	return order ? order : uuid_cmp(&a->id, &b->id);
}

static bool permits_family(enum msg_ip_stack stack, u8 family)
{
	switch (stack) {
	case MSG_STACK_DUAL:
		return true;
	case MSG_STACK_IPV4_ONLY:
		return family == 4;
	case MSG_STACK_IPV6_ONLY:
		return family == 6;
	}
	return true;
}

/* --- records ------------------------------------------------------------------------------------------------------------------------- */

static u64 hash_of(const struct stub *s, const struct dns_name *folded)
{
	return siphash(&s->key, folded->wire, folded->len);
}

static struct stub_record *find_folded(const struct stub *s, const struct dns_name *folded)
{
	u64 hash = hash_of(s, folded);
	struct stub_record *r = table_get(&s->by_hash, &hash);

	while (r && (r->len != folded->len || memcmp(r->wire, folded->wire, r->len) != 0))
		r = r->next_of_hash;
	return r;
}

struct stub_record *stub_record_of_name(const struct stub *s, const struct dns_name *name)
{
	struct dns_name folded = *name;
	dns_name_fold(&folded);
	return find_folded(s, &folded);
}

static struct stub_record *record_make(struct stub *s, const struct dns_name *folded)
{
	u64 hash = hash_of(s, folded);

	if (s->n_records == STUB_NAMES_MAX)
		return NULL;
	if (s->n_records == s->records_room) {
		u32 room = s->records_room ? 2 * s->records_room : 64;
		struct stub_record **grown = realloc(s->records, room * sizeof(struct stub_record *));
		if (!grown)
			return NULL;
		s->records = grown;
		s->records_room = room;
	}
	struct stub_record *r = calloc(1, sizeof(*r) + folded->len);
	if (!r)
		return NULL;
	r->number = s->n_records;
	r->len = folded->len;
	memcpy(r->wire, folded->wire, folded->len);
	r->next_of_hash = table_get(&s->by_hash, &hash);
	if (table_put(&s->by_hash, &hash, r)) {
		free(r);
		return NULL;
	}
	s->records[s->n_records++] = r;
	return r;
}

static bool has_pair(const struct stub_record *r, const struct stub_pattern *p)
{
	for (const struct stub_pair *pair = r->pairs; pair; pair = pair->next)
		if (pair->pattern == p)
			return true;
	return false;
}

/* Of all patterns that match now, in the record from now on. */
static int record_note(struct stub *s, struct stub_record *r, const struct dns_name *name, bool *is_new)
{
	for (struct stub_pattern *p = s->patterns; p; p = p->next) {
		if (has_pair(r, p) || !dns_pattern_matches(&p->pattern, name))
			continue;
		struct stub_pair *pair = malloc(sizeof(*pair));
		if (!pair)
			return ERR_NOMEM;
		*pair = (struct stub_pair){ p, r->pairs };
		r->pairs = pair;
		p->n_records++;
		*is_new = true;
	}
	return 0;
}

struct stub_record *stub_record_at(const struct stub *s, u32 number)
{
	return number < s->n_records ? s->records[number] : NULL;
}

static struct ip v4_at(u32 index)
{
	u8 b[4];
	u32 address = V4_FIRST + 1 + index;
	put_be32(b, address < V4_SENTINELS ? address : address + V4_SENTINELS_COUNT);
	return ip_from_bytes(4, b);
}

static struct ip v6_at(u32 index)
{
	struct ip ip = net_proxies6.ip;
	put_be32(ip.b + V6_LAST_OFFSET, index);
	return ip;
}

/* The index of a proxy address; UINT32_MAX for addresses that never are one. */
static u32 index_of(const struct ip *ip)
{
	if (ip->family == 6)
		return cidr_contains(&net_proxies6, ip) ? get_be32(ip->b + V6_LAST_OFFSET) : UINT32_MAX;
	if (ip->family != 4 || !cidr_contains(&net_proxies4, ip) || cidr_contains(&net_sentinels4, ip))
		return UINT32_MAX;
	u32 address = get_be32(ip->b);
	if (address == V4_FIRST)
		return UINT32_MAX;
	return address - V4_FIRST - 1 - (address > V4_SENTINELS ? V4_SENTINELS_COUNT : 0);
}

struct stub_record *stub_record_of_ip(const struct stub *s, const struct ip *ip)
{
	u32 index = index_of(ip);
	return index == UINT32_MAX ? NULL : stub_record_at(s, index / STUB_PROXIES);
}

void stub_proxies(const struct stub_record *r, struct ip *out)
{
	for (u32 i = 0; i < STUB_PROXIES; i++) {
		out[i] = v4_at(r->number * STUB_PROXIES + i);
		out[STUB_PROXIES + i] = v6_at(r->number * STUB_PROXIES + i);
	}
}

void stub_name(const struct stub_record *r, struct dns_name *out)
{
	*out = (struct dns_name){ .len = r->len };
	memcpy(out->wire, r->wire, r->len);
}

/* --- routing -------------------------------------------------------------------------------------------------------------------------- */

void *stub_route(const struct stub *s, const struct ip *ip, enum l4_kind kind, u16 port, bool *permits)
{
	const struct stub_record *r = stub_record_of_ip(s, ip);
	const struct stub_pattern *best = NULL;
	bool best_permits = false;

	for (const struct stub_pair *pair = r ? r->pairs : NULL; pair; pair = pair->next) {
		const struct stub_pattern *p = pair->pattern;
		if (!p->owner)
			continue;
		bool is_permitted = filter_permits(p->filter, kind, port);
		if (best && (best_permits > is_permitted || (best_permits == is_permitted && by_specificity(best, p) > 0)))
			continue;
		best = p;
		best_permits = is_permitted;
	}
	*permits = best_permits;
	return best ? best->owner : NULL;
}

/* --- deciding ------------------------------------------------------------------------------------------------------------------------- */

static bool is_canary(const struct dns_name *name)
{
	static const struct dns_name canary = { .len = 25, .wire = "\023use-application-dns\003net" };
	return dns_name_eq(name, &canary);
}

/* The best match, NULL when none; `*allows` tells whether every match allows the family. */
static const struct stub_pattern *match(const struct stub *s, const struct dns_name *name, u8 family, bool *allows)
{
	const struct stub_pattern *best = NULL;

	*allows = true;
	for (const struct stub_pattern *p = s->patterns; p; p = p->next) {
		if (!dns_pattern_matches(&p->pattern, name))
			continue;
		*allows = *allows && permits_family(p->ip_stack, family);
		if (!best || by_specificity(p, best) > 0)
			best = p;
	}
	return best;
}

bool stub_covers(const struct stub *s, const struct dns_name *name)
{
	bool allows;
	return match(s, name, 4, &allows) != NULL;
}

static void answer_addresses(struct stub *s, struct span query, const struct dns_query *q, struct wr *w, bool is_allowed, struct stub_answer *out)
{
	u8 family = q->q.type == DNS_A ? 4 : 6;
	struct ip proxies[2 * STUB_PROXIES];
	struct dns_name folded = q->q.name;

	dns_name_fold(&folded);
	out->record = find_folded(s, &folded);
	if (!out->record)
		out->record = record_make(s, &folded);
	if (!out->record || record_note(s, out->record, &q->q.name, &out->has_new_routes)) {
		s->stats.exhausted++;
		dns_answer_begin(w, query, q, DNS_SERVFAIL);
		return;
	}
	dns_answer_begin(w, query, q, DNS_NOERROR);
	stub_proxies(out->record, proxies);
	for (u32 i = 0; is_allowed && i < STUB_PROXIES; i++)
		dns_answer_ip(w, STUB_LOCAL_TTL, &proxies[family == 4 ? i : STUB_PROXIES + i]);
}

/* Tells a name, but is no query of that name: gateways need not look it up again. */
static enum stub_decision decide_reverse(const struct stub *s, struct span query, const struct dns_query *q, struct wr *w)
{
	const struct stub_record *r;
	struct dns_name target;
	struct ip ip;

	if (!dns_name_reverse(&q->q.name, &ip) || !(r = stub_record_of_ip(s, &ip)))
		return STUB_FORWARD;
	dns_answer_begin(w, query, q, DNS_NOERROR);
	stub_name(r, &target);
	dns_answer_name(w, DNS_PTR, STUB_LOCAL_TTL, &target);
	return STUB_LOCAL;
}

static enum stub_decision decide(struct stub *s, struct span query, const struct dns_query *q, struct wr *w, struct stub_answer *out)
{
	bool is_allowed;

	if (is_canary(&q->q.name)) {
		dns_answer_begin(w, query, q, DNS_NXDOMAIN);
		return STUB_LOCAL;
	}
	if (q->q.type == DNS_PTR)
		return decide_reverse(s, query, q, w);
	if (q->q.type != DNS_A && q->q.type != DNS_AAAA && q->q.type != DNS_HTTPS && q->q.type != DNS_SRV && q->q.type != DNS_TXT)
		return STUB_FORWARD;
	const struct stub_pattern *best = match(s, &q->q.name, q->q.type == DNS_A ? 4 : 6, &is_allowed);
	if (!best)
		return STUB_FORWARD;
	if (q->q.type == DNS_A || q->q.type == DNS_AAAA) {
		answer_addresses(s, query, q, w, is_allowed, out);
		return STUB_LOCAL;
	}
	if (q->q.type == DNS_HTTPS) {
		out->record = stub_record_of_name(s, &q->q.name);
		dns_answer_begin(w, query, q, DNS_NOERROR);
		return STUB_LOCAL;
	}
	out->owner = best->owner;
	return STUB_SITE;
}

enum stub_decision stub_decide(struct stub *s, struct span query, const struct dns_query *q, struct wr *w, struct stub_answer *out)
{
	*out = (struct stub_answer){ 0 };
	enum stub_decision d = decide(s, query, q, w, out);
	switch (d) {
	case STUB_LOCAL:
		s->stats.local++;
		break;
	case STUB_SITE:
		s->stats.site++;
		break;
	case STUB_FORWARD:
		s->stats.forwarded++;
		break;
	}
	return d;
}

void stub_stats(const struct stub *s, struct stub_stats *out)
{
	*out = s->stats;
	out->patterns = s->patterns_by_id.count;
	out->records = s->n_records;
}
