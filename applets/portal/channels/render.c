#include "applets/portal/channels/internal.h"

#include "applets/portal/model/pool.h"

#include <stdlib.h>

static const char *const doh_urls[] = {
	[DOH_GOOGLE] = "https://dns.google/dns-query",
	[DOH_OPENDNS] = "https://doh.opendns.com/dns-query",
	[DOH_CLOUDFLARE] = "https://cloudflare-dns.com/dns-query",
	[DOH_QUAD9] = "https://dns.quad9.net/dns-query",
};

static enum msg_ip_stack wire_stack(int stack)
{
	return stack == STACK_IPV4 ? MSG_STACK_IPV4_ONLY : stack == STACK_IPV6 ? MSG_STACK_IPV6_ONLY : MSG_STACK_DUAL;
}

static enum msg_protocol wire_protocol(enum protocol p)
{
	return p == PROTO_TCP ? MSG_TCP : p == PROTO_UDP ? MSG_UDP : MSG_ICMP;
}

static int render_address(const struct resource *r, struct msg_resource *out)
{
	switch ((enum resource_type)r->type) {
	case RESOURCE_DNS:
		out->type = MSG_RESOURCE_DNS;
		out->address = r->address;
		out->ip_stack = wire_stack(r->ip_stack);
		return 0;
	case RESOURCE_CIDR:
	case RESOURCE_IP:
		out->type = MSG_RESOURCE_CIDR;
		out->address = r->address;
		return cidr_parse(SPAN(r->address, strlen(r->address)), &out->net) ? ERR_MALFORMED : 0;
	case RESOURCE_INTERNET:
		out->type = MSG_RESOURCE_INTERNET;
		out->address = "";
		return 0;
	case RESOURCE_POOL:
		out->type = MSG_RESOURCE_STATIC_DEVICE_POOL;
		out->address = "";
		return 0;
	}
	return ERR_MALFORMED;
}

static int render_devices(struct hub *h, const struct resource *pool, struct rendered *out)
{
	u32 n;
	void *const *members = directory_all(&h->dir, KIND_POOL_MEMBER, &pool->e.account_id, &n);

	for (u32 i = 0; i < n; i++)
		out->resource.n_devices += uuid_eq(&((const struct pool_member *)members[i])->resource_id, &pool->e.id);
	out->devices = calloc(out->resource.n_devices + 1, sizeof(*out->devices));
	if (!out->devices)
		return ERR_NOMEM;
	out->resource.devices = out->devices;
	out->resource.n_devices = 0;
	for (u32 i = 0; i < n; i++) {
		const struct pool_member *m = members[i];
		struct device_address at;

		if (!uuid_eq(&m->resource_id, &pool->e.id) || !device_address(h, &pool->e.account_id, &m->client_id, &at))
			continue;
		out->devices[out->resource.n_devices++] =
			(struct msg_device){ m->client_id, pool_ip(POOL_IPV4, at.ipv4), pool_ip(POOL_IPV6, at.ipv6) };
	}
	return 0;
}

void rendered_free(struct rendered *r)
{
	free(r->devices);
	r->devices = NULL;
}

int render_resource(struct hub *h, const struct resource *r, struct rendered *out)
{
	const struct directory *d = &h->dir;
	const struct site *site = directory_get(d, KIND_SITE, &r->e.account_id, &r->site_id);
	struct filter filters[FILTERS_MAX];
	struct complaint ignored;
	int n = filters_parse(r->filters, filters, &ignored);

	memset(&out->resource, 0, sizeof(out->resource));
	out->devices = NULL;
	out->resource.id = r->e.id;
	out->resource.name = r->name;
	out->resource.address_description = r->address_description;
	if (site) {
		out->site = (struct msg_site){ site->e.id, site->name };
		out->resource.sites = &out->site;
		out->resource.n_sites = 1;
	}
	for (int i = 0; i < n; i++)
		out->filters[i] = (struct msg_filter){ wire_protocol(filters[i].protocol), filters[i].has_ports ? filters[i].first : 0,
						       filters[i].has_ports ? filters[i].last : 65535 };
	out->resource.filters = out->filters;
	out->resource.n_filters = n > 0 ? (size_t)n : 0;
	int rc = n < 0 ? ERR_MALFORMED : render_address(r, &out->resource);
	return rc || r->type != RESOURCE_POOL ? rc : render_devices(h, r, out);
}

void render_interface(const struct directory *d, const struct peer *p, struct msg_interface *out, struct rendered_interface *mem)
{
	const struct account *a = directory_account(d, &p->account_id);
	struct span list, word;

	memset(out, 0, sizeof(*out));
	out->ipv4 = pool_ip(POOL_IPV4, peer_device(p)->ipv4);
	out->ipv6 = pool_ip(POOL_IPV6, peer_device(p)->ipv6);
	if (!a || p->role != MSG_ROLE_CLIENT)
		return;
	out->search_domain = a->search_domain;
	switch ((enum dns_type)a->dns_type) {
	case DNS_SYSTEM:
		break;
	case DNS_SECURE:
		mem->doh[0] = doh_urls[a->doh_provider];
		out->upstream_doh = mem->doh;
		out->n_upstream_doh = 1;
		break;
	case DNS_CUSTOM:
		list = SPAN(a->dns_addresses ? a->dns_addresses : "", a->dns_addresses ? strlen(a->dns_addresses) : 0);
		while (out->n_upstream_do53 < ARRAY_LEN(mem->dns) && word_next(&list, &word))
			if (ip_parse(word, &mem->dns[out->n_upstream_do53]) == 0)
				out->n_upstream_do53++;
		out->upstream_do53 = mem->dns;
		break;
	}
}

struct msg_flow_logs render_flow_logs(const struct hub *h, const struct peer *p)
{
	if (p->version == MSG_V1)
		return (struct msg_flow_logs){ .api_url = NULL };
	return (struct msg_flow_logs){ .api_url = h->cfg.api_url ? h->cfg.api_url : "", .upload_batch_size = 1 };
}
