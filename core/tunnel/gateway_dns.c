#define LOG_TARGET "tunnel::gateway"
#include "core/tunnel/gateway_state.h"

#include <stdlib.h>

#define LINES_A_SECOND 10u

enum log_level dns_loudness(struct gateway *g, enum log_level level)
{
	if (time_since(g->now, g->told_since) >= SEC(1)) {
		g->told_since = g->now;
		g->n_told = 0;
	}
	if (g->n_told == LINES_A_SECOND)
		return LOG_DEBUG;
	g->n_told++;
	return level;
}

static char *domain_log_format(const void *name, char buf[static KV_FORMAT_MAX])
{
	char text[DNS_NAME_STRLEN];
	size_t n = strlen(dns_name_text(name, text));

	n = MIN(n, (size_t)KV_FORMAT_MAX - 1);
	memcpy(buf, text, n);
	buf[n] = 0;
	return buf;
}
#define kv_domain(val) kv_format("domain", (const struct dns_name *)(val), domain_log_format)

static void answer(struct gateway *g, u64 wall, const struct uuid *client, const struct control_assigned *m, bool is_active)
{
	const struct control_status s = { .resource = m->resource, .domain = m->domain, .is_active = is_active };
	u8 packet[TUNNEL_MTU];
	u32 len = control_write_status(&s, packet);

	if (len > 0 && node_send(g->node, g->now, wall, client, SPAN(packet, len), ECN_NOT_ECT))
		gateway_drop(g, DROP_NOT_CONNECTED, 1); /* it asks again */
}

/* --- what waits ------------------------------------------------------------------------------------------------------------------------------ */

static void remove_at(struct gateway *g, struct resolution **link)
{
	struct resolution *w = *link;

	*link = w->next;
	if (!w->next)
		g->resolutions_last = link;
	if (g->unasked == w)
		g->unasked = w->next;
	g->n_resolutions--;
	free(w);
}

void dns_forget(struct gateway *g, const struct uuid *client)
{
	for (struct resolution **link = &g->resolutions; *link;)
		if (!client || uuid_eq(&(*link)->client, client))
			remove_at(g, link);
		else
			link = &(*link)->next;
}

static bool shares_address(const struct control_assigned *a, const struct control_assigned *b)
{
	for (u32 i = 0; i < a->n_proxies; i++)
		for (u32 k = 0; k < b->n_proxies; k++)
			if (ip_eq(&a->proxies[i], &b->proxies[k]))
				return true;
	return false;
}

/* A client that numbers its names anew (it was started again) must not meet the old meaning of an address when that is resolved at last. */
static void displace_former(struct gateway *g, const struct client_peer *p, const struct control_assigned *m)
{
	for (struct resolution **link = &g->resolutions; *link;) {
		const struct resolution *w = *link;
		if (uuid_eq(&w->client, &p->id) && !dns_name_eq(&w->assigned.domain, &m->domain) && shares_address(&w->assigned, m))
			remove_at(g, link);
		else
			link = &(*link)->next;
	}
}

/* The same question of the same client: its latest addresses count, the answer will serve for both. */
static bool is_asked_already(struct gateway *g, const struct client_peer *p, const struct control_assigned *m, u32 *n_of_client)
{
	*n_of_client = 0;
	for (struct resolution *w = g->resolutions; w; w = w->next) {
		if (!uuid_eq(&w->client, &p->id))
			continue;
		++*n_of_client;
		if (!uuid_eq(&w->assigned.resource, &m->resource) || !dns_name_eq(&w->assigned.domain, &m->domain))
			continue;
		w->assigned = *m;
		return true;
	}
	return false;
}

static int enqueue(struct gateway *g, const struct client_peer *p, const struct control_assigned *m)
{
	u32 n_of_client;

	displace_former(g, p, m);
	if (is_asked_already(g, p, m, &n_of_client))
		return 0;
	if (g->n_resolutions >= GATEWAY_RESOLUTIONS_MAX || n_of_client >= GATEWAY_CLIENT_RESOLUTIONS_MAX)
		return ERR_LIMIT;
	struct resolution *w = malloc(sizeof(*w));
	if (!w)
		return ERR_NOMEM;
	*w = (struct resolution){ .token = g->next_token++, .until = time_add(g->now, RESOLVE_SPAN), .client = p->id, .assigned = *m };
	*g->resolutions_last = w;
	g->resolutions_last = &w->next;
	if (!g->unasked)
		g->unasked = w;
	g->n_resolutions++;
	g->stats.resolutions++;
	return 0;
}

/* --- doors ----------------------------------------------------------------------------------------------------------------------------------- */

static const char *why_refused(const struct client_peer *p, const struct control_assigned *m)
{
	const struct grant *r = grant_find(p, &m->resource);

	if (!r)
		return "the resource is not authorized";
	/* Before anybody in the site is asked: a client shall not make it resolve names that are not its own. */
	if (r->type != MSG_RESOURCE_DNS || !r->pattern || !dns_pattern_matches(r->pattern, &m->domain))
		return "the name is not the resource's";
	for (u32 i = 0; i < m->n_proxies; i++)
		if (!ip_is_proxy(&m->proxies[i]))
			return "an address is not of the proxy ranges";
	return NULL;
}

void dns_assigned(struct gateway *g, u64 wall, struct client_peer *p, const u8 *data, const struct packet *packet)
{
	struct control_assigned m;
	int rc = control_read_assigned(data, packet, &m);

	if (rc) {
		g->stats.control_bad++;
		log_debug("assigned addresses are not readable", kv_uuid("client", &p->id), kv_err(rc));
		return;
	}
	proxies_renumber(g, p, &m); /* whatever becomes of this one: the client no longer means the former name */
	const char *why = why_refused(p, &m);
	if (why) {
		dns_tell(g, LOG_WARN, "assigned addresses are refused", kv_s("reason", why), kv_uuid("client", &p->id),
			 kv_uuid("resource", &m.resource), kv_domain(&m.domain));
		answer(g, wall, &p->id, &m, false);
		return;
	}
	rc = enqueue(g, p, &m);
	if (rc) {
		g->stats.resolutions_refused++;
		dns_tell(g, LOG_WARN, "too many names wait to be resolved, one is left out", kv_uuid("client", &p->id),
			 kv_domain(&m.domain), kv_err(rc));
	}
}

bool dns_poll(struct gateway *g, struct gateway_event *out)
{
	struct resolution *w = g->unasked;

	if (!w)
		return false;
	g->unasked = w->next;
	*out = (struct gateway_event){ .type = GATEWAY_RESOLVE, .token = w->token, .peer = w->client,
				       .domain = dns_name_text(&w->assigned.domain, g->resolve_text) };
	return true;
}

void gateway_resolved(struct gateway *g, u64 now, u64 wall, u64 token, const struct ip *ips, size_t n, int error)
{
	struct resolution **link = &g->resolutions;

	g->now = now;
	while (*link && (*link)->token != token)
		link = &(*link)->next;
	if (!*link)
		return;
	struct uuid client = (*link)->client;
	struct control_assigned m = (*link)->assigned;
	struct client_peer *p = table_get(&g->peers_by_id, &client);
	remove_at(g, link);
	int rc = error == ERR_AGAIN ? 0 : error;
	if (!rc)
		rc = p ? proxies_install(g, p, &m, ips, error ? 0 : n, error != 0) : ERR_NOT_FOUND;
	if (rc)
		dns_tell(g, LOG_INFO, "name is not mapped", kv_uuid("client", &client), kv_domain(&m.domain), kv_err(rc));
	else if (error)
		dns_tell(g, LOG_INFO, "no resolver of the site answers, a name stays what it was", kv_uuid("client", &client),
			 kv_domain(&m.domain));
	else
		log_debug("name is mapped", kv_uuid("client", &client), kv_domain(&m.domain), kv_u("addresses", n));
	answer(g, wall, &client, &m, rc == 0);
}

void dns_timeout(struct gateway *g, u64 wall)
{
	while (g->resolutions && g->now >= g->resolutions->until)
		gateway_resolved(g, g->now, wall, g->resolutions->token, NULL, 0, ERR_TIMEOUT);
}
