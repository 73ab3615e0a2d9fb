#define LOG_TARGET "tunnel::client"
#include "core/tunnel/client_dns_config.h"

#include "core/base/err.h"
#include "core/dns/doh.h"
#include "core/tunnel/convert.h"

#include <stdlib.h>

static void texts_free(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

void dns_config_deinit(struct dns_config *d)
{
	free(d->do53);
	free(d->system);
	texts_free(d->doh, d->n_doh);
	free(d->upstreams);
	*d = (struct dns_config){ 0 };
}

static bool is_sentinel(const struct ip *ip)
{
	return cidr_contains(ip->family == 4 ? &net_sentinels4 : &net_sentinels6, ip);
}

/* What can be asked: a copy without sentinels, without repetition. */
static struct ip *addresses_copy(const struct ip *list, size_t n, size_t *count)
{
	struct ip *copy = calloc(MIN(n, (size_t)DNS_UPSTREAMS_MAX) + 1, sizeof(*copy));
	*count = 0;
	for (size_t i = 0; copy && i < n && *count < DNS_UPSTREAMS_MAX; i++) {
		bool is_repeated = false;
		for (size_t k = 0; k < *count; k++)
			is_repeated = is_repeated || ip_eq(&copy[k], &list[i]);
		if (!is_repeated && list[i].family && !is_sentinel(&list[i]) && !ip_is_unspecified(&list[i]))
			copy[(*count)++] = list[i];
	}
	return copy;
}

static bool is_doh_url(const char *text)
{
	struct doh_url u;
	return strlen(text) < FORWARD_URL_MAX && doh_url_parse(SPAN(text, strlen(text)), &u) == 0;
}

static char **urls_copy(const char *const *list, size_t n, size_t *count)
{
	char **copy = calloc(MIN(n, (size_t)DNS_UPSTREAMS_MAX) + 1, sizeof(*copy));
	*count = 0;
	for (size_t i = 0; copy && i < n && *count < DNS_UPSTREAMS_MAX; i++) {
		if (!is_doh_url(list[i])) {
			log_warn("not a DoH server", kv_s("url", list[i]));
			continue;
		}
		bool is_repeated = false;
		for (size_t k = 0; k < *count; k++)
			is_repeated = is_repeated || strcmp(copy[k], list[i]) == 0;
		if (is_repeated)
			continue;
		copy[*count] = text_copy(list[i]);
		if (!copy[*count]) {
			texts_free(copy, *count);
			return NULL;
		}
		(*count)++;
	}
	return copy;
}

/* --- the mapping --------------------------------------------------------------------------------------------------------------------- */

static bool is_same_server(const struct dns_server *a, const struct dns_server *b)
{
	return a->transport == b->transport && endpoint_eq(&a->addr, &b->addr) && strcmp(a->url, b->url) == 0;
}

static bool has_server(const struct dns_upstream *list, size_t n, const struct dns_server *s)
{
	for (size_t i = 0; i < n; i++)
		if (is_same_server(&list[i].server, s))
			return true;
	return false;
}

static bool has_sentinel(const struct dns_upstream *list, size_t n, const struct ip *ip)
{
	for (size_t i = 0; i < n; i++)
		if (ip_eq(&list[i].sentinel, ip))
			return true;
	return false;
}

/* The first address that neither the old nor the new mapping uses: at most 2 * DNS_UPSTREAMS_MAX steps. The IPv4 range has no .0 and no .255. */
static struct ip next_sentinel(u8 family, const struct dns_config *old, const struct dns_upstream *list, size_t n)
{
	struct ip ip = family == 4 ? net_sentinels4.ip : net_sentinels6.ip;
	u8 *last = &ip.b[family == 4 ? 3 : 15];

	static_assert(2 * DNS_UPSTREAMS_MAX <= 254, "a free one is always found");
	*last = family == 4 ? 1 : 0;
	while (has_sentinel(old->upstreams, old->n, &ip) || has_sentinel(list, n, &ip))
		(*last)++;
	return ip;
}

static void add_address(struct dns_upstream *list, size_t *n, const struct ip *ip)
{
	list[(*n)++].server = (struct dns_server){ .transport = DNS_OVER_UDP, .addr = { *ip, DNS_PORT } };
}

static void add_url(struct dns_upstream *list, size_t *n, const char *url)
{
	struct dns_server *s = &list[(*n)++].server;
	*s = (struct dns_server){ .transport = DNS_OVER_HTTPS };
	memcpy(s->url, url, strlen(url) + 1); /* is_doh_url() saw that it fits */
}

/* 1 when another set of servers is in use now. */
static int remap(struct dns_config *d)
{
	struct dns_upstream *list = calloc(DNS_UPSTREAMS_MAX, sizeof(*list));
	bool is_same = true;
	size_t n = 0;

	if (!list)
		return ERR_NOMEM;
	d->is_from_portal = d->n_do53 > 0 || d->n_doh > 0;
	for (size_t i = 0; i < d->n_do53; i++)
		add_address(list, &n, &d->do53[i]);
	for (size_t i = 0; i < d->n_doh && d->n_do53 == 0; i++)
		add_url(list, &n, d->doh[i]);
	for (size_t i = 0; i < d->n_system && !d->is_from_portal; i++)
		add_address(list, &n, &d->system[i]);
	for (size_t i = 0; i < n; i++)
		is_same = is_same && has_server(d->upstreams, d->n, &list[i].server);
	if (is_same && n == d->n) {
		free(list);
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		list[i].sentinel = next_sentinel(list[i].server.addr.ip.family == 6 ? 6 : 4, d, list, i);
	struct dns_upstream *fitting = realloc(list, (n ? n : 1) * sizeof(*list));
	free(d->upstreams);
	d->upstreams = fitting ? fitting : list;
	d->n = n;
	return 1;
}

int dns_config_set_portal(struct dns_config *d, const struct ip *do53, size_t n_do53, const char *const *doh, size_t n_doh)
{
	size_t n_addresses, n_urls;
	struct ip *addresses = addresses_copy(do53, n_do53, &n_addresses);
	char **urls = urls_copy(doh, n_doh, &n_urls);

	if (!addresses || !urls) {
		free(addresses);
		if (urls)
			texts_free(urls, n_urls);
		return ERR_NOMEM;
	}
	free(d->do53);
	texts_free(d->doh, d->n_doh);
	d->do53 = addresses;
	d->n_do53 = n_addresses;
	d->doh = urls;
	d->n_doh = n_urls;
	return remap(d);
}

int dns_config_set_system(struct dns_config *d, const struct ip *list, size_t n)
{
	size_t count;
	struct ip *copy = addresses_copy(list, n, &count);

	if (!copy)
		return ERR_NOMEM;
	free(d->system);
	d->system = copy;
	d->n_system = count;
	return remap(d);
}

int dns_config_find(const struct dns_config *d, const struct ip *sentinel)
{
	for (size_t i = 0; i < d->n; i++)
		if (ip_eq(&d->upstreams[i].sentinel, sentinel))
			return (int)i;
	return -1;
}
