/* The two files of a resolver: resolv.conf(5) and hosts(5). */
#include "core/dns/lookup_int.h"

#include "core/base/text.h"

#include <stdlib.h>
#include <string.h>

#define NDOTS_MAX 15u /* as in glibc */
#define ATTEMPTS_MAX 5u
#define TIMEOUT_SECS_MAX 30u
#define DNS_PORT 53u

/* The next word of a line; empty at its end and where a comment begins. */
static struct span next_word(struct span *line)
{
	struct span word = text_word(line), kept = text_uncommented(word, '#');

	if (kept.n > 0 && kept.p[0] == ';')
		kept.n = 0;
	if (kept.n < word.n)
		*line = SPAN_NONE;
	return kept;
}

static bool name_from_span(struct span w, struct dns_name *out)
{
	char text[DNS_NAME_STRLEN];
	if (w.n == 0 || w.n >= sizeof(text) || memchr(w.p, 0, w.n))
		return false;
	memcpy(text, w.p, w.n);
	text[w.n] = 0;
	return dns_name_from_text(text, out) == 0;
}

/* An address, its zone cut off. */
static bool ip_from_span(struct span w, struct ip *out)
{
	const u8 *zone = w.n > 0 ? memchr(w.p, '%', w.n) : NULL;
	if (zone)
		w.n = (size_t)(zone - w.p);
	*out = (struct ip){ 0 };
	return w.n > 0 && ip_parse(w, out) == 0;
}

/* ---- resolv.conf ---- */

static void add_server(struct lookup_conf *c, struct span word)
{
	struct ip ip;
	if (!ip_from_span(word, &ip) || c->n_servers == FORWARD_SERVERS_MAX)
		return;
	for (u32 i = 0; i < c->n_servers; i++)
		if (ip_eq(&c->servers[i], &ip))
			return;
	c->servers[c->n_servers++] = ip;
}

static void add_suffix(struct lookup_conf *c, const struct dns_name *name)
{
	if (name->len <= 1 || c->n_search == LOOKUP_SEARCH_MAX)
		return; /* the root adds nothing */
	for (u32 i = 0; i < c->n_search; i++)
		if (dns_name_eq(&c->search[i], name))
			return;
	c->search[c->n_search++] = *name;
}

/* "name:12", at most `max`. */
static bool option_number(struct span word, const char *name, u32 max, u32 *out)
{
	size_t at = strlen(name);
	u32 v = 0;
	if (word.n <= at + 1 || memcmp(word.p, name, at) != 0 || word.p[at] != ':')
		return false;
	for (size_t i = at + 1; i < word.n; i++) {
		if (word.p[i] < '0' || word.p[i] > '9')
			return false;
		v = MIN(v * 10 + (u32)(word.p[i] - '0'), max);
	}
	*out = v;
	return true;
}

static void read_options(struct lookup_conf *c, struct span line)
{
	struct span word;
	u32 secs;
	while ((word = next_word(&line)).n > 0) {
		(void)option_number(word, "ndots", NDOTS_MAX, &c->ndots);
		if (option_number(word, "attempts", ATTEMPTS_MAX, &c->attempts))
			c->attempts = MAX(c->attempts, 1u);
		if (option_number(word, "timeout", TIMEOUT_SECS_MAX, &secs))
			c->timeout = SEC(MAX(secs, 1u));
	}
}

void lookup_conf_parse(struct lookup_conf *c, struct span text, const char *hostname)
{
	struct span line, word, list = SPAN_NONE;
	struct dns_name name;
	const char *dot = hostname ? strchr(hostname, '.') : NULL;
	bool has_domain = dot && dns_name_from_text(dot + 1, &name) == 0;

	*c = (struct lookup_conf){ .ndots = 1, .attempts = 2, .timeout = SEC(5) };
	while (text_line(&text, &line)) {
		struct span key = next_word(&line);
		if (text_is(key, "nameserver")) {
			add_server(c, next_word(&line));
		} else if (text_is(key, "options")) {
			read_options(c, line);
		} else if (text_is(key, "search")) {
			list = line;
		} else if (text_is(key, "domain")) {
			list = line;
			has_domain |= name_from_span(next_word(&line), &name);
		}
	}
	if (has_domain)
		add_suffix(c, &name);
	while ((word = next_word(&list)).n > 0)
		if (name_from_span(word, &name))
			add_suffix(c, &name);
}

void lookup_conf_group(const struct lookup_conf *c, struct dns_server servers[static FORWARD_SERVERS_MAX], struct forward_group *g)
{
	for (u32 i = 0; i < c->n_servers; i++)
		servers[i] = (struct dns_server){ .transport = DNS_OVER_UDP, .addr = { c->servers[i], DNS_PORT } };
	*g = (struct forward_group){ .servers = servers, .n = c->n_servers, .timeout = MIN(c->timeout * c->attempts, LOOKUP_TIMEOUT) };
}

/* ---- hosts ---- */

static u64 hash_name(const struct hosts *h, const struct dns_name *name)
{
	struct dns_name folded = *name;
	dns_name_fold(&folded);
	return siphash(&h->key, folded.wire, folded.len);
}

static int compare(const void *a, const void *b)
{
	const struct hosts_entry *x = a, *y = b;
	if (x->name != y->name)
		return x->name < y->name ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static bool hosts_add(struct hosts *h, u32 *capacity, u64 name, const struct ip *ip)
{
	if (h->n == LOOKUP_HOSTS_MAX) {
		h->left_out++;
		return true;
	}
	if (h->n == *capacity) {
		u32 grown = MAX(*capacity * 2, 16u);
		struct hosts_entry *p = realloc(h->entries, grown * sizeof(*p));
		if (!p)
			return false;
		h->entries = p;
		*capacity = grown;
	}
	h->entries[h->n] = (struct hosts_entry){ name, h->n, *ip };
	h->n++;
	return true;
}

int hosts_load(struct hosts *h, struct span text)
{
	struct hosts fresh = { .key = h->key };
	struct span line, word;
	u32 capacity = 0;

	while (text_line(&text, &line)) {
		struct dns_name name;
		struct ip ip;
		if (!ip_from_span(next_word(&line), &ip))
			continue;
		while ((word = next_word(&line)).n > 0) {
			if (name_from_span(word, &name) && !hosts_add(&fresh, &capacity, hash_name(h, &name), &ip)) {
				free(fresh.entries);
				return ERR_NOMEM;
			}
		}
	}
	if (fresh.n > 0)
		qsort(fresh.entries, fresh.n, sizeof(*fresh.entries), compare);
	free(h->entries);
	*h = fresh;
	return 0;
}

const struct hosts_entry *hosts_find(const struct hosts *h, const struct dns_name *name, u32 *n)
{
	u64 wanted = hash_name(h, name);
	u32 low = 0, high = h->n;
	while (low < high) {
		u32 mid = low + (high - low) / 2;
		if (h->entries[mid].name < wanted)
			low = mid + 1;
		else
			high = mid;
	}
	u32 end = low;
	while (end < h->n && h->entries[end].name == wanted)
		end++;
	*n = end - low;
	return *n > 0 ? &h->entries[low] : NULL;
}
