#include "core/dns/split.h"

#include "core/base/table.h"

#include <stdlib.h>

struct rule {
	struct dns_pattern pattern;
	enum split_rule_kind kind;
	u32 group;
};

struct record {
	struct record *next; /* of the name, in the order of the configuration */
	u32 ttl;
	u16 type, rdata_len;
	u8 rdata[];
};

struct owner {
	struct owner *next; /* all of them */
	struct record *first;
	bool is_derived;
	u8 name_len;
	u8 name[]; /* folded */
};

struct group {
	struct dns_server *servers;
	size_t n;
};

struct split {
	struct siphash_key key;
	struct group groups[SPLIT_GROUPS_MAX]; /* [0] is the default */
	u32 n_groups;
	struct rule *rules; /* finished: the most specific first */
	u32 n_rules, rules_capacity;
	struct table owners; /* fingerprint of the name → owner */
	struct owner *all_owners;
	u32 n_records;
	struct dns_name search[SPLIT_SEARCH_MAX];
	u32 n_search;
	struct blocklist *blocklist;
	bool blocks_with_zero, hides_application_dns;
};

struct split *split_new(struct rng *rng)
{
	struct split *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->key = siphash_key_draw(rng);
	s->n_groups = 1;
	table_init(&s->owners, sizeof(u64), SPLIT_RECORDS_MAX, rng);
	return s;
}

static void owner_free(struct owner *o)
{
	for (struct record *r = o->first, *next; r; r = next) {
		next = r->next;
		free(r);
	}
	free(o);
}

void split_free(struct split *s)
{
	if (!s)
		return;
	for (struct owner *o = s->all_owners, *next; o; o = next) {
		next = o->next;
		owner_free(o);
	}
	for (u32 i = 0; i < s->n_groups; i++)
		free(s->groups[i].servers);
	table_deinit(&s->owners);
	blocklist_free(s->blocklist);
	free(s->rules);
	free(s);
}

/* --- groups and rules --- */

static bool server_eq(const struct dns_server *a, const struct dns_server *b)
{
	return a->transport == b->transport && endpoint_eq(&a->addr, &b->addr) && strcmp(a->url, b->url) == 0;
}

static bool group_eq(const struct group *g, const struct dns_server *servers, size_t n)
{
	if (g->n != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!server_eq(&g->servers[i], &servers[i]))
			return false;
	return true;
}

static int group_fill(struct group *g, const struct dns_server *servers, size_t n)
{
	struct dns_server *copy = NULL;

	if (n > FORWARD_SERVERS_MAX)
		return ERR_LIMIT;
	if (n > 0 && !(copy = calloc(n, sizeof(*copy))))
		return ERR_NOMEM;
	if (n > 0)
		memcpy(copy, servers, n * sizeof(*copy));
	free(g->servers);
	*g = (struct group){ copy, n };
	return 0;
}

int split_set_default(struct split *s, const struct dns_server *servers, size_t n)
{
	return group_fill(&s->groups[SPLIT_DEFAULT], servers, n);
}

/* >= 0: its index. Equal lists share one; never the default's, which is replaced as a whole. */
static int group_of(struct split *s, const struct dns_server *servers, size_t n)
{
	for (u32 i = 1; i < s->n_groups; i++)
		if (group_eq(&s->groups[i], servers, n))
			return (int)i;
	if (s->n_groups == SPLIT_GROUPS_MAX)
		return ERR_LIMIT;
	int rc = group_fill(&s->groups[s->n_groups], servers, n);
	return rc != 0 ? rc : (int)s->n_groups++;
}

static int room_for_rule(struct split *s)
{
	if (s->n_rules < s->rules_capacity)
		return 0;
	if (s->n_rules == SPLIT_RULES_MAX)
		return ERR_LIMIT;
	u32 capacity = MIN(s->rules_capacity ? s->rules_capacity * 2 : 8u, SPLIT_RULES_MAX);
	struct rule *rules = realloc(s->rules, capacity * sizeof(*rules));
	if (!rules)
		return ERR_NOMEM;
	s->rules = rules;
	s->rules_capacity = capacity;
	return 0;
}

int split_add_rule(struct split *s, const char *pattern, enum split_rule_kind kind, const struct dns_server *servers, size_t n)
{
	struct rule r = { .kind = kind };
	int rc = dns_pattern_init(&r.pattern, pattern), group;

	for (u32 i = 0; rc == 0 && i < s->n_rules; i++)
		if (s->rules[i].pattern.len == r.pattern.len && strcmp(s->rules[i].pattern.text, r.pattern.text) == 0)
			rc = ERR_EXISTS;
	if (rc == 0)
		rc = room_for_rule(s);
	if (rc != 0)
		return rc;
	if (kind == SPLIT_RULE_SERVERS) {
		group = group_of(s, servers, n);
		if (group < 0)
			return group;
		r.group = (u32)group;
	}
	s->rules[s->n_rules++] = r;
	return 0;
}

static int rule_cmp(const void *a, const void *b)
{
	const struct rule *x = a, *y = b;

	return dns_pattern_cmp(&y->pattern, &x->pattern);
}

void split_finish(struct split *s)
{
	if (s->n_rules > 1)
		qsort(s->rules, s->n_rules, sizeof(*s->rules), rule_cmp);
}

static bool is_catch_all(const struct rule *r)
{
	return strcmp(r->pattern.text, "**") == 0;
}

static const struct rule *rule_for(const struct split *s, const struct dns_name *name)
{
	char text[DNS_NAME_STRLEN];

	if (s->n_rules == 0)
		return NULL;
	size_t len = dns_pattern_text(name, text);
	for (u32 i = 0; i < s->n_rules; i++)
		if (dns_pattern_matches_text(&s->rules[i].pattern, text, len))
			return &s->rules[i];
	return NULL;
}

/* --- static records --- */

static struct owner *owner_of(const struct split *s, const struct dns_name *name)
{
	u8 folded[DNS_NAME_MAX];

	if (s->owners.count == 0)
		return NULL;
	dns_octets_fold(folded, name->wire, name->len);
	u64 key = siphash(&s->key, folded, name->len);
	struct owner *o = table_get(&s->owners, &key);
	return o && o->name_len == name->len && memcmp(o->name, folded, name->len) == 0 ? o : NULL;
}

static struct owner *owner_add(struct split *s, const struct dns_name *name, bool is_derived)
{
	struct owner *o = calloc(1, sizeof(*o) + name->len);

	if (!o)
		return NULL;
	o->name_len = name->len;
	o->is_derived = is_derived;
	dns_octets_fold(o->name, name->wire, name->len);
	u64 key = siphash(&s->key, o->name, name->len);
	if (table_put(&s->owners, &key, o) != 0) {
		free(o);
		return NULL;
	}
	o->next = s->all_owners;
	s->all_owners = o;
	return o;
}

static size_t bytes_of(const struct owner *o, u16 type)
{
	size_t n = 0;

	for (const struct record *r = o->first; r; r = r->next)
		n += r->type == type ? 12u + r->rdata_len : 0;
	return n;
}

/* An alias stands alone (RFC 1034 §3.6.2). */
static bool may_join(const struct owner *o, u16 type)
{
	return !o->first || (type != DNS_CNAME && o->first->type != DNS_CNAME);
}

static int record_append(struct split *s, struct owner *o, u16 type, u32 ttl, struct span rdata)
{
	struct record **at = &o->first, *r;

	if (!may_join(o, type))
		return ERR_EXISTS;
	if (s->n_records == SPLIT_RECORDS_MAX || rdata.n > SPLIT_RDATA_MAX || bytes_of(o, type) + rdata.n > SPLIT_ANSWER_MAX)
		return ERR_LIMIT;
	r = calloc(1, sizeof(*r) + rdata.n);
	if (!r)
		return ERR_NOMEM;
	r->type = type;
	r->ttl = ttl;
	r->rdata_len = (u16)rdata.n;
	memcpy(r->rdata, rdata.p, rdata.n);
	while (*at)
		at = &(*at)->next;
	*at = r;
	s->n_records++;
	return 0;
}

static void records_drop(struct split *s, struct owner *o)
{
	for (struct record *r = o->first, *next; r; r = next) {
		next = r->next;
		free(r);
		s->n_records--;
	}
	o->first = NULL;
}

static int add_reverse(struct split *s, const struct dns_name *name, u16 type, u32 ttl, struct span rdata)
{
	struct ip ip = ip_from_bytes(type == DNS_A ? 4 : 6, rdata.p);
	struct dns_name reverse;

	dns_name_of_ip(&ip, &reverse);
	if (owner_of(s, &reverse))
		return 0; /* the first name that has the address, or what was said outright */
	struct owner *o = owner_add(s, &reverse, true);
	return o ? record_append(s, o, DNS_PTR, ttl, SPAN(name->wire, name->len)) : ERR_NOMEM;
}

int split_add_record(struct split *s, const struct dns_name *name, u16 type, u32 ttl, struct span rdata)
{
	struct owner *o = owner_of(s, name);

	if ((type == DNS_A && rdata.n != 4) || (type == DNS_AAAA && rdata.n != 16))
		return ERR_INVAL;
	if (s->n_records >= SPLIT_RECORDS_MAX)
		return ERR_LIMIT;
	if (o && o->is_derived) {
		records_drop(s, o);
		o->is_derived = false;
	}
	if (!o && !(o = owner_add(s, name, false)))
		return ERR_NOMEM;
	int rc = record_append(s, o, type, ttl, rdata);
	return rc == 0 && (type == DNS_A || type == DNS_AAAA) ? add_reverse(s, name, type, ttl, rdata) : rc;
}

/* --- the rest of building --- */

int split_add_search(struct split *s, const struct dns_name *suffix)
{
	if (s->n_search == SPLIT_SEARCH_MAX)
		return ERR_LIMIT;
	s->search[s->n_search++] = *suffix;
	return 0;
}

void split_set_blocklist(struct split *s, struct blocklist *b, bool with_zero)
{
	blocklist_free(s->blocklist);
	s->blocklist = b;
	s->blocks_with_zero = with_zero;
}

void split_hide_application_dns(struct split *s, bool hides)
{
	s->hides_application_dns = hides;
}

size_t split_group(const struct split *s, u32 group, const struct dns_server **servers)
{
	if (group >= s->n_groups)
		return 0;
	*servers = s->groups[group].servers;
	return s->groups[group].n;
}

struct split_counts split_counts(const struct split *s)
{
	return (struct split_counts){
		.rules = s->n_rules, .records = s->n_records, .search = s->n_search, .groups = s->n_groups,
		.blocked_names = s->blocklist ? blocklist_count(s->blocklist) : 0,
		.blocklist_bytes = s->blocklist ? blocklist_bytes(s->blocklist) : 0,
	};
}

/* --- answers of our own --- */

static void begin(struct wr *w, struct span query, const struct dns_query *q, enum dns_rcode rcode, bool is_authoritative)
{
	dns_answer_begin(w, query, q, rcode);
	if (wr_ok(w))
		put_be16(w->start + 2, get_be16(w->start + 2) | DNS_FLAG_RA | (is_authoritative ? DNS_FLAG_AA : 0));
}

static void answer_record(struct wr *w, const u8 *owner, u8 owner_len, const struct record *r)
{
	wr_bytes(w, owner, owner_len);
	wr_be16(w, r->type);
	wr_be16(w, DNS_CLASS_IN);
	wr_be32(w, r->ttl);
	wr_be16(w, r->rdata_len);
	wr_bytes(w, r->rdata, r->rdata_len);
	if (wr_ok(w))
		put_be16(w->start + 6, (u16)(get_be16(w->start + 6) + 1));
}

static struct split_verdict answered(enum split_reason reason)
{
	return (struct split_verdict){ .action = SPLIT_ANSWER, .reason = reason };
}

static struct split_verdict blocked(const struct split *s, struct span query, const struct dns_query *q, struct wr *w)
{
	const struct ip zero4 = { .family = 4 }, zero6 = { .family = 6 };

	begin(w, query, q, s->blocks_with_zero ? DNS_NOERROR : DNS_NXDOMAIN, false);
	if (s->blocks_with_zero && q->q.type == DNS_A)
		dns_answer_ip(w, SPLIT_LOCAL_TTL, &zero4);
	if (s->blocks_with_zero && q->q.type == DNS_AAAA)
		dns_answer_ip(w, SPLIT_LOCAL_TTL, &zero6);
	return answered(SPLIT_BY_BLOCK);
}

static u32 group_for(const struct split *s, const struct dns_name *name)
{
	const struct rule *r = rule_for(s, name);

	return r ? r->group : SPLIT_DEFAULT;
}

static struct split_verdict asking(const struct split *s, u32 group, enum split_reason reason)
{
	bool has_servers = s->groups[group].n > 0;

	return (struct split_verdict){ .action = has_servers ? SPLIT_ASK : SPLIT_REFUSE, .reason = reason, .group = group };
}

/* `o` has the records of the question's name, or of what `w` says already that it is an alias to. Follows aliases as far as they lead to names
 * of ours. A chain that leaves them is told as one alias to where it leaves. */
static struct split_verdict of_records(const struct split *s, const struct dns_query *q, const struct owner *o, u32 ttl, struct wr *w)
{
	struct dns_name target = { 0 };

	for (u32 links = 0; o->first && o->first->type == DNS_CNAME && q->q.type != DNS_CNAME && links < SPLIT_ALIASES_MAX; links++) {
		answer_record(w, o->name, o->name_len, o->first);
		ttl = MIN(ttl, o->first->ttl);
		memcpy(target.wire, o->first->rdata, o->first->rdata_len);
		target.len = (u8)o->first->rdata_len;
		const struct owner *next = owner_of(s, &target);
		if (!next) {
			struct split_verdict v = asking(s, group_for(s, &target), SPLIT_BY_RECORD);
			v.action = v.action == SPLIT_ASK ? SPLIT_ALIAS : v.action;
			v.ttl = ttl;
			v.target = target;
			return v;
		}
		o = next;
	}
	for (const struct record *r = o->first; r; r = r->next)
		if (r->type == q->q.type || q->q.type == DNS_ANY)
			answer_record(w, o->name, o->name_len, r);
	return answered(SPLIT_BY_RECORD);
}

/* --- special names --- */

#define SPECIAL(wire) { (const u8 *)(wire), sizeof(wire) } /* the final NUL is the root label */

static const struct special {
	const u8 *wire;
	size_t len;
} nowhere[] = {
	SPECIAL("\7invalid"), SPECIAL("\5onion"), SPECIAL("\5local"), SPECIAL("\4test"),
	SPECIAL("\3" "127\7in-addr\4arpa"), SPECIAL("\1" "0\7in-addr\4arpa"),
}, localhost = SPECIAL("\11localhost"), resolver = SPECIAL("\10resolver\4arpa"), application = SPECIAL("\23use-application-dns\3net"),
   reverse4 = SPECIAL("\1" "1\1" "0\1" "0\3" "127\7in-addr\4arpa");

/* The suffix begins at a label, for the octet before it belongs to a label that ends there: walked, not guessed. */
static bool is_under(const struct dns_name *n, const struct special *p)
{
	unsigned at = 0;

	while (at + p->len < n->len)
		at += 1u + n->wire[at];
	return at + p->len == n->len && dns_octets_eq(n->wire + at, p->wire, p->len);
}

static bool is_at(const struct dns_name *n, const struct special *p)
{
	return n->len == p->len && dns_octets_eq(n->wire, p->wire, p->len);
}

static bool is_localhost(struct span query, const struct dns_query *q, struct wr *w)
{
	const struct ip v4 = ip4(127, 0, 0, 1), v6 = { .b = { [15] = 1 }, .family = 6 };
	struct dns_name reverse6, name = { .len = (u8)localhost.len };

	dns_name_of_ip(&v6, &reverse6);
	bool is_reverse = is_at(&q->q.name, &reverse4) || dns_name_eq(&q->q.name, &reverse6);
	if (!is_reverse && !is_under(&q->q.name, &localhost))
		return false;
	begin(w, query, q, DNS_NOERROR, true);
	memcpy(name.wire, localhost.wire, localhost.len);
	if (is_reverse && q->q.type == DNS_PTR)
		dns_answer_name(w, DNS_PTR, SPLIT_LOCAL_TTL, &name);
	if (!is_reverse && q->q.type == DNS_A)
		dns_answer_ip(w, SPLIT_LOCAL_TTL, &v4);
	if (!is_reverse && q->q.type == DNS_AAAA)
		dns_answer_ip(w, SPLIT_LOCAL_TTL, &v6);
	return true;
}

static bool is_special(const struct split *s, struct span query, const struct dns_query *q, struct wr *w)
{
	bool is_nowhere = s->hides_application_dns && is_at(&q->q.name, &application), is_empty = is_under(&q->q.name, &resolver);

	for (size_t i = 0; i < ARRAY_LEN(nowhere) && !is_nowhere; i++)
		is_nowhere = is_under(&q->q.name, &nowhere[i]);
	if (is_nowhere || is_empty)
		begin(w, query, q, is_nowhere ? DNS_NXDOMAIN : DNS_NOERROR, false);
	return is_nowhere || is_empty;
}

/* --- deciding --- */

static struct split_verdict by_rule(const struct split *s, const struct rule *r, struct span query, const struct dns_query *q, struct wr *w)
{
	switch (r->kind) {
	case SPLIT_RULE_SERVERS:
	case SPLIT_RULE_DEFAULT:
		return asking(s, r->group, SPLIT_BY_RULE);
	case SPLIT_RULE_BLOCK:
		return blocked(s, query, q, w);
	}
	return asking(s, SPLIT_DEFAULT, SPLIT_BY_DEFAULT);
}

/* A static record of one of the candidates needs no asking. */
static struct split_verdict search(const struct split *s, struct span query, const struct dns_query *q, struct wr *w)
{
	for (u32 i = 0; i < s->n_search; i++) {
		struct dns_name name = q->q.name;
		const struct owner *o = dns_name_append(&name, &s->search[i]) == 0 ? owner_of(s, &name) : NULL;
		if (!o)
			continue;
		begin(w, query, q, DNS_NOERROR, true);
		dns_answer_name(w, DNS_CNAME, o->first->ttl, &name);
		return of_records(s, q, o, o->first->ttl, w);
	}
	return (struct split_verdict){ .action = SPLIT_SEARCH, .reason = SPLIT_BY_SEARCH };
}

struct split_verdict split_decide(const struct split *s, struct span query, const struct dns_query *q, struct wr *w)
{
	const struct owner *o = owner_of(s, &q->q.name);

	if (o) {
		begin(w, query, q, DNS_NOERROR, true);
		return of_records(s, q, o, UINT32_MAX, w);
	}
	if (is_localhost(query, q, w))
		return answered(SPLIT_BY_SPECIAL);
	const struct rule *r = rule_for(s, &q->q.name);
	if (r && !is_catch_all(r))
		return by_rule(s, r, query, q, w);
	if (is_special(s, query, q, w))
		return answered(SPLIT_BY_SPECIAL);
	if (s->blocklist && blocklist_has(s->blocklist, &q->q.name))
		return blocked(s, query, q, w);
	if (s->n_search > 0 && (q->q.type == DNS_A || q->q.type == DNS_AAAA) && dns_name_labels(&q->q.name) == 1)
		return search(s, query, q, w);
	return r ? by_rule(s, r, query, q, w) : asking(s, SPLIT_DEFAULT, SPLIT_BY_DEFAULT);
}

int split_candidate(const struct split *s, const struct dns_name *name, u32 i, struct dns_name *out, u32 *group)
{
	*out = *name;
	if (i > s->n_search)
		return ERR_NOT_FOUND;
	if (i < s->n_search && dns_name_append(out, &s->search[i]) != 0)
		return ERR_LIMIT;
	*group = group_for(s, out);
	return 0;
}
