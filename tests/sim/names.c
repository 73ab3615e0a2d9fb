#include "tests/sim/names.h"

#include "core/base/err.h"
#include "tests/unit/inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define OUTSIDE_SETTLES SEC(7) /* a query outside that began before the client was told of a resource may still be on its way */
#define FLOW_KEPT SEC(50)      /* below the 60 s that a flow without an answer lives (spec 40 §9.5) */
#define UNSETTLED SEC(10)

static const char *const texts[NAMES] = {
	"app.corp.test", "www.corp.test", "corp.test", "x.y.corp.test", "lab.test", "a.lab.test", "b.c.lab.test", "db.lab.test",
	"n1.db.lab.test", "secret.hq.test", "ghost.corp.test", "www.example", "big.example", "nobody.example", "use-application-dns.net",
};

static u64 draw(struct world *w, u64 bound)
{
	return rng_below(&w->rng.rng, bound);
}

const char *sim_names_text(unsigned name)
{
	return texts[name];
}

static int name_of(const char *text)
{
	for (unsigned i = 0; i < NAMES; i++)
		if (strcasecmp(texts[i], text) == 0)
			return (int)i;
	return -1;
}

/* --- policy --------------------------------------------------------------------------------------------------------------------------- */

static bool label_matches(const char *pattern, const char *name)
{
	while (*pattern && *name && (*pattern == *name || (*pattern == '?' && *name != '.')))
		pattern++, name++;
	return !*pattern && !*name;
}

bool sim_names_stack_has(enum msg_ip_stack stack, u8 family)
{
	return stack == MSG_STACK_DUAL || stack == (family == 4 ? MSG_STACK_IPV4_ONLY : MSG_STACK_IPV6_ONLY);
}

bool sim_names_resource_has(const struct sim_resource *r, unsigned name)
{
	const char *text = texts[name], *dot = strchr(text, '.');

	if (r->type != MSG_RESOURCE_DNS)
		return false;
	if (strncmp(r->pattern, "**.", 3) == 0) {
		size_t n = strlen(text), m = strlen(r->pattern + 3);
		return n >= m && strcmp(text + n - m, r->pattern + 3) == 0 && (n == m || text[n - m - 1] == '.');
	}
	if (strncmp(r->pattern, "*.", 2) == 0)
		return strcmp(text, r->pattern + 2) == 0 || (dot && strcmp(dot + 1, r->pattern + 2) == 0);
	return label_matches(r->pattern, text);
}

const struct sim_resource *sim_names_route(const struct world *w, unsigned name, u8 proto, u16 port)
{
	const struct sim_resource *best = NULL;
	bool best_permits = false;

	for (size_t i = 0; i < w->portal.n_resources; i++) {
		const struct sim_resource *r = &w->portal.resources[i];
		if (!r->at_client || !sim_names_resource_has(r, name))
			continue;
		bool permits = r->hides_filters || sim_filter_allows(r->filters, r->n_filters, proto, port);
		if (!best || permits > best_permits || (permits == best_permits && r->rank > best->rank)) {
			best = r;
			best_permits = permits;
		}
	}
	return best;
}

static bool gateway_may(const struct world *w, unsigned name, u8 proto, u16 port)
{
	for (size_t i = 0; i < w->portal.n_resources; i++) {
		const struct sim_resource *r = &w->portal.resources[i];
		if (r->at_gateway && sim_wall(w) < SEC(r->gateway_expires_at) + SEC(1) && sim_names_resource_has(r, name) &&
		    sim_filter_allows(r->gateway_filters, r->n_gateway_filters, proto, port))
			return true;
	}
	return false;
}

static bool is_resolvable(const struct world *w, unsigned name)
{
	for (size_t i = 0; i < w->portal.n_resources; i++) {
		const struct sim_resource *r = &w->portal.resources[i];
		if (r->at_gateway && sim_wall(w) < SEC(r->gateway_expires_at) + SEC(1) && sim_names_resource_has(r, name))
			return true;
	}
	return false;
}

void sim_names_told(struct world *w, const struct sim_resource *r)
{
	w->names->granted_since[r - w->portal.resources] = r->at_client ? w->now : TIME_NEVER;
}

/* The client has had a resource of this name for a while. */
static bool is_ours_for_long(const struct world *w, unsigned name)
{
	for (size_t i = 0; i < w->portal.n_resources; i++)
		if (sim_names_resource_has(&w->portal.resources[i], name) && w->names->granted_since[i] != TIME_NEVER &&
		    w->now > w->names->granted_since[i] + OUTSIDE_SETTLES)
			return true;
	return false;
}

/* Whether the client has it at present or not: questions are on their way for seconds. */
static bool is_of_some_resource(const struct world *w, unsigned name)
{
	for (size_t i = 0; i < w->portal.n_resources; i++)
		if (sim_names_resource_has(&w->portal.resources[i], name))
			return true;
	return false;
}

static bool is_mode_of(enum site_mode mode, u8 family)
{
	return mode == SITE_BOTH || mode == SITE_SLOW || mode == (family == 4 ? SITE_V4 : SITE_V6);
}

static bool site_has(const struct names_place *p, u8 family)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->ips[i].family == family && is_mode_of(p->mode, family))
			return true;
	return false;
}

/* Answered with addresses, and the site has some. */
static bool is_usable(const struct world *w, unsigned name, u8 family)
{
	bool has_any = false;

	for (size_t i = 0; i < w->portal.n_resources; i++) {
		const struct sim_resource *r = &w->portal.resources[i];
		if (!r->at_client || !sim_names_resource_has(r, name))
			continue;
		if (!sim_names_stack_has(r->client_stack, family))
			return false;
		has_any = true;
	}
	return has_any && site_has(&w->names->places[name], family);
}

bool sim_names_choose(struct world *w, unsigned name, u64 margin, u8 *family, u8 *proto, u16 *port)
{
	static const u8 protocols[] = { 17, 6, 1 };

	*family = draw(w, 2) ? 4 : 6;
	if (!is_usable(w, name, *family))
		*family ^= 4 ^ 6;
	if (!is_usable(w, name, *family))
		return false;
	for (unsigned tries = 0; tries < 24; tries++) {
		const struct sim_resource *r = &w->portal.resources[draw(w, w->portal.n_resources)];
		if (!sim_names_resource_has(r, name))
			continue;
		*proto = protocols[draw(w, 3)];
		*port = (u16)(1 + draw(w, 60000));
		if (r->n_filters > 0) {
			const struct msg_filter *f = &r->filters[draw(w, r->n_filters)];
			*proto = f->protocol == MSG_TCP ? 6 : f->protocol == MSG_UDP ? 17 : 1;
			*port = (u16)(f->port_start + draw(w, (u64)f->port_end - f->port_start + 1));
		}
		if (*proto == 1) {
			*proto = *family == 4 ? 1 : 58;
			*port = 7;
		}
		const struct sim_resource *way = sim_names_route(w, name, *proto, *port);
		if (way && sim_filter_allows(way->filters, way->n_filters, *proto, *port) && SEC(way->expires_at) > sim_wall(w) + margin)
			return true;
	}
	return false;
}

/* --- the site's resolver -------------------------------------------------------------------------------------------------------------- */

static struct ip target(u8 family, unsigned host)
{
	struct ip ip = { .b = { 0x20, 0x01, 0x0d, 0xb8, 0x5e, 0x7e }, .family = 6 };

	if (family == 4)
		return ip4(10, 9, 0, (u8)host);
	ip.b[15] = (u8)host;
	return ip;
}

bool sim_names_is_target(const struct ip *ip)
{
	static const u8 net[] = { 0x20, 0x01, 0x0d, 0xb8, 0x5e, 0x7e };

	if (ip->family == 6)
		return memcmp(ip->b, net, sizeof(net)) == 0;
	return (ip->b[0] == 10 && ip->b[1] == 9) || ip->b[0] == 127 || (ip->b[0] == 100 && ip->b[1] >= 64 && ip->b[1] < 128);
}

bool sim_names_is_proxy(const struct ip *ip)
{
	static const u8 net[] = { 0xfd, 0x00, 0x20, 0x21, 0x11, 0x11, 0x80, 0x00, 0, 0, 0, 0, 0 };

	if (ip->family == 4)
		return ip->b[0] == 100 && ip->b[1] >= 96 && ip->b[1] < 128;
	return memcmp(ip->b, net, sizeof(net)) == 0 && ip->b[13] < 0x20;
}

void sim_names_draw_place(struct world *w, unsigned name, bool is_calm)
{
	struct names_place *p = &w->names->places[name];

	p->mode = (enum site_mode)draw(w, is_calm ? SITE_UNKNOWN_NAME : SITE_MODES);
	if (name >= NAME_GHOST)
		p->mode = SITE_UNKNOWN_NAME;
	p->n = 2 + draw(w, ARRAY_LEN(p->ips) - 2);
	for (size_t i = 0; i < p->n; i++)
		p->ips[i] = target(i < 2 ? (i ? 6 : 4) : draw(w, 2) ? 4 : 6, (unsigned)(1 + draw(w, 20)));
	if (draw(w, 8) == 0 && p->n > 2)
		p->ips[p->n - 1] = draw(w, 2) ? ip4(127, 0, 0, 1) : ip4(100, 64, 0, 9); /* nowhere that a name may lead */
}

void sim_names_resolve(struct world *w, u64 token, const char *domain)
{
	struct sim_names *s = w->names;
	int name = name_of(domain);
	u64 latency = MSEC(sim_between(w, 0, 200));

	if (name < 0) {
		sim_fail(w, "the site is asked for %s, which nobody asked for", domain);
		return;
	}
	if (!is_resolvable(w, (unsigned)name))
		sim_fail(w, "the site resolves %s, which the policy does not allow", domain);
	if (s->places[name].mode == SITE_SLOW)
		latency = MSEC(sim_between(w, 500, 3000));
	if (s->places[name].mode == SITE_STUCK)
		latency = SEC(12);
	struct names_resolution *r = calloc(1, sizeof(*r));
	*r = (struct names_resolution){ .next = s->resolutions, .at = w->now + latency, .token = token, .name = (unsigned)name };
	s->resolutions = r;
	s->n_resolutions++;
}

static void note_history(struct world *w, struct names_place *p, const struct ip *ip)
{
	for (unsigned i = 0; i < p->n_history; i++)
		if (ip_eq(&p->history[i], ip))
			return;
	if (p->n_history == NAMES_HISTORY)
		sim_fail(w, "a name had more addresses than there are");
	else
		p->history[p->n_history++] = *ip;
}

static void resolved(struct world *w, const struct names_resolution *r)
{
	struct names_place *p = &w->names->places[r->name];
	struct ip ips[ARRAY_LEN(p->ips)];
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++) {
		if (!is_mode_of(p->mode, p->ips[i].family))
			continue;
		ips[n++] = p->ips[i];
		if (p->ips[i].b[0] != 127 && p->ips[i].b[0] != 100)
			note_history(w, p, &p->ips[i]);
	}
	gateway_resolved(w->gateway, w->now, sim_wall(w), r->token, ips, n, p->mode == SITE_FAILS ? ERR_AGAIN : 0);
}

static void resolutions_turn(struct world *w)
{
	for (struct names_resolution **link = &w->names->resolutions; *link;) {
		struct names_resolution *r = *link;
		if (r->at > w->now) {
			link = &r->next;
			continue;
		}
		*link = r->next;
		resolved(w, r);
		free(r);
	}
}

void sim_names_gateway_gone(struct world *w)
{
	struct sim_names *s = w->names;

	while (s->resolutions) {
		struct names_resolution *r = s->resolutions;
		s->resolutions = r->next;
		free(r);
	}
	for (unsigned i = 0; i < NAMES; i++)
		s->places[i].n_history = 0;
	s->may_renumber = false;
	sim_names_unsettle(w);
}

void sim_names_unsettle(struct world *w)
{
	w->names->stable_at = w->now + UNSETTLED;
}

/* --- what arrives in the site ---------------------------------------------------------------------------------------------------------- */

/* A name has its addresses also when the answer was that it has none of this family. */
static bool has_unknown_proxies(const struct sim_names *s)
{
	for (unsigned i = 0; i < NAMES; i++)
		if (s->places[i].has_record && !s->places[i].has_proxies)
			return true;
	return false;
}

void sim_names_sent(struct world *w, u64 id, const struct sim_probe *q)
{
	struct sim_names *s = w->names;
	struct names_sent *sent = &s->sent[id % SIM_TAKEN_MAX];

	*sent = (struct names_sent){ .id = id, .name = NAMES, .proxy = q->dst, .proto = q->proto, .port = (u16)(q - w->probes),
				     .is_unknown = has_unknown_proxies(s) };
	for (unsigned i = 0; i < NAMES; i++)
		for (unsigned k = 0; k < NAMES_PER_FAMILY; k++)
			if (s->places[i].has_proxies && ip_eq(&s->places[i].proxies[q->dst.family == 6][k], &q->dst))
				sent->name = i;
}

/* A running flow keeps its target, whatever the name means by now. */
static void check_flow(struct world *w, const struct names_sent *sent, const struct ip *dst)
{
	struct sim_names *s = w->names;
	struct names_flow *oldest = &s->flows[0];

	for (size_t i = 0; i < ARRAY_LEN(s->flows); i++) {
		struct names_flow *f = &s->flows[i];
		if (f->last < oldest->last)
			oldest = f;
		if (f->last == 0 || f->proto != sent->proto || f->port != sent->port || !ip_eq(&f->proxy, &sent->proxy))
			continue;
		if (!s->may_renumber && f->last >= s->stable_at && w->now < f->last + FLOW_KEPT && !ip_eq(&f->target, dst))
			sim_fail(w, "a running connection to %s changes its target", texts[sent->name]);
		f->target = *dst;
		f->last = w->now;
		return;
	}
	*oldest = (struct names_flow){ sent->proto, sent->port, sent->proxy, *dst, w->now };
}

void sim_names_at_target(struct world *w, const struct packet *p, u64 id)
{
	const struct names_sent *sent = &w->names->sent[id % SIM_TAKEN_MAX];
	u64 bits = p->kind == L4_TCP ? 0x1ffff : UINT64_MAX; /* a sequence number has no more of it */
	char text[IP_STRLEN];
	bool was_told = false;

	if (((sent->id ^ id) & bits) != 0) {
		if (p->kind != L4_TCP && sent->id < id)
			sim_fail(w, "%s hears what nobody sent", ip_format(&p->dst, text));
		return;
	}
	if (sent->name == NAMES) {
		if (!sent->is_unknown)
			sim_fail(w, "a packet for no name reaches %s", ip_format(&p->dst, text));
		return;
	}
	const struct names_place *place = &w->names->places[sent->name];
	for (unsigned i = 0; i < place->n_history; i++)
		was_told |= ip_eq(&place->history[i], &p->dst);
	if (!was_told)
		sim_fail(w, "a packet for %s reaches %s, which it never meant", texts[sent->name], ip_format(&p->dst, text));
	if (!gateway_may(w, sent->name, p->proto, p->dst_port))
		sim_fail(w, "forbidden: protocol %u port %u reached %s", p->proto, p->dst_port, texts[sent->name]);
	check_flow(w, sent, &p->dst);
}

bool sim_names_client_may(const struct world *w, const struct ip *ip)
{
	const struct sim_names *s = w->names;

	for (unsigned i = 0; i < NAMES; i++)
		for (unsigned k = 0; k < NAMES_PER_FAMILY; k++) {
			if (!s->places[i].has_proxies || !ip_eq(&s->places[i].proxies[ip->family == 6][k], ip))
				continue;
			for (size_t r = 0; r < w->portal.n_resources; r++)
				if (w->portal.resources[r].at_client && sim_names_resource_has(&w->portal.resources[r], i))
					return true;
		}
	return has_unknown_proxies(s);
}

/* The gateway's own resolver, which answers TXT (spec 40 §11). */
bool sim_names_at_site_server(struct world *w, const u8 *data, const struct packet *p)
{
	struct ip own = sim_tunnel_ip(false, p->dst.family);
	u8 reply[1500], text[64] = { 0 };
	struct wire_question q;

	if (!ip_eq(&p->dst, &own))
		return false;
	if (p->kind != L4_UDP || p->dst_port != 53535 || !wire_read_query(data + p->l4 + 8, p->len - p->l4 - 8u, &q)) {
		sim_fail(w, "the gateway itself hears something else than a question");
		return true;
	}
	int name = name_of(q.name);
	if (name < 0 || q.type != TYPE_TXT || !is_of_some_resource(w, (unsigned)name)) {
		sim_fail(w, "the site is asked for the text of %s", q.name);
		return true;
	}
	(void)snprintf((char *)text + 1, sizeof(text) - 1, "%s", texts[name]);
	text[0] = (u8)strlen(texts[name]);
	u32 n = wire_reply(reply, data + p->l4 + 8, &q, 0);
	n = wire_add(reply, n, TYPE_TXT, 30, text, (u16)(1 + text[0]));
	struct inner_spec back = { .src = p->dst, .dst = p->src, .proto = 17, .sport = p->dst_port, .dport = p->src_port, .payload = reply,
				   .payload_len = (u16)n };
	sim_answer(w, &back);
	return true;
}

/* --- resolvers outside ----------------------------------------------------------------------------------------------------------------- */

void sim_names_draw_servers(struct world *w)
{
	struct sim_names *s = w->names;

	s->n_servers = 1 + draw(w, ARRAY_LEN(s->servers));
	unsigned first = (unsigned)draw(w, 5);
	for (unsigned i = 0; i < s->n_servers; i++) {
		s->servers[i].ip = draw(w, 3) ? ip4(192, 0, 2, (u8)(50 + first + i)) : ip_of("2001:db8:53::53");
		for (unsigned k = 0; k < i; k++)
			if (ip_eq(&s->servers[k].ip, &s->servers[i].ip))
				s->servers[i].ip = ip4(192, 0, 2, (u8)(100 + first + i));
		s->servers[i].kind = (enum server_kind)draw(w, SERVER_KINDS);
	}
}

void sim_names_set_servers(struct world *w)
{
	struct ip list[ARRAY_LEN(w->names->servers)];

	for (size_t i = 0; i < w->names->n_servers; i++)
		list[i] = w->names->servers[i].ip;
	client_set_system_resolvers(w->client, w->now, list, w->names->n_servers);
	sim_client_pump(w); /* whoever asks from now on asks the new sentinels */
}

void sim_names_configured(struct world *w, const struct client_tun_config *c)
{
	struct sim_names *s = w->names;

	s->n_sentinels = MIN(c->n_dns, ARRAY_LEN(s->sentinels));
	for (size_t i = 0; i < s->n_sentinels; i++) {
		s->sentinels[i] = c->dns[i].sentinel;
		s->behind[i] = c->dns[i].server.addr.ip;
	}
}

static u32 write_truth(u8 *out, const u8 *query, const struct wire_question *q, bool is_tcp)
{
	int name = name_of(q->name);
	u8 data[NAMES_BIG];

	if ((name == NAME_PUBLIC || name == NAME_SPLIT) && q->type == TYPE_A)
		return wire_add(out, wire_reply(out, query, q, 0), TYPE_A, 60, &(u8[]){ 198, 18, 0, 1 }, 4);
	if (name == NAME_BIG && q->type == TYPE_TXT && !is_tcp)
		return wire_reply(out, query, q, 0x0200);
	if (name == NAME_BIG && q->type == TYPE_TXT) {
		for (unsigned i = 0; i < NAMES_BIG; i++)
			data[i] = (u8)(i * 7);
		return wire_add(out, wire_reply(out, query, q, 0), TYPE_TXT, 60, data, NAMES_BIG);
	}
	return wire_reply(out, query, q, name == NAME_PUBLIC || name == NAME_SPLIT || name == NAME_BIG ? 0 : 3);
}

static u32 write_lie(struct world *w, u8 *out, const u8 *query, const struct wire_question *q, struct endpoint *from, bool is_tcp)
{
	static const u8 six[] = { 6, 6, 6, 6 };
	u32 n = wire_add(out, wire_reply(out, query, q, 0), TYPE_A, 600, six, 4);

	switch (draw(w, is_tcp ? 3 : 4)) {
	case 0:
		put_be16(out, (u16)(q->id + 1));
		break;
	case 1:
		out[13] ^= 1; /* another name */
		break;
	case 2:
		return 5 + (u32)draw(w, 6); /* no message */
	default:
		from->ip.b[3] ^= 0x40;
		break;
	}
	return n;
}

static void post(struct world *w, const struct dns_exchange *ex, const struct endpoint *from, u64 delay, const u8 *data, u32 n, int error)
{
	struct names_exchange *e = calloc(1, sizeof(*e) + n);

	*e = (struct names_exchange){ .next = w->names->exchanges, .at = w->now + delay, .id = ex->id, .error = error, .from = *from, .len = n };
	e->is_vouched = ex->transport == DNS_OVER_TCP;
	memcpy(e->data, data, n);
	w->names->exchanges = e;
}

static void serve(struct world *w, const struct dns_exchange *ex, const struct wire_question *q, enum server_kind kind)
{
	static u8 out[8192];
	bool is_tcp = ex->transport == DNS_OVER_TCP;
	struct endpoint from = ex->server->addr, other = from;
	const u8 *query = ex->message.p;
	u64 delay = MSEC(sim_between(w, 1, 100));
	u32 n;

	switch (kind) {
	case SERVER_SLOW:
		delay = MSEC(sim_between(w, 300, 2200));
		break;
	case SERVER_LIES_FIRST:
		if (!is_tcp) {
			n = write_lie(w, out, query, q, &other, false);
			post(w, ex, &other, delay, out, n, 0);
			delay += MSEC(20);
		}
		break;
	case SERVER_TRUNCATES:
		if (!is_tcp) {
			post(w, ex, &from, delay, out, wire_reply(out, query, q, 0x0200), 0);
			return;
		}
		break;
	case SERVER_LIES:
		n = write_lie(w, out, query, q, &other, is_tcp);
		post(w, ex, &other, delay, out, n, 0);
		return;
	case SERVER_SILENT:
		return;
	case SERVER_FAILS:
		if (draw(w, 2))
			post(w, ex, &from, delay, out, 0, ERR_CLOSED);
		else
			post(w, ex, &from, delay, out, wire_reply(out, query, q, 2), 0);
		return;
	case SERVER_HONEST:
	case SERVER_KINDS:
		break;
	}
	post(w, ex, &from, delay, out, write_truth(out, query, q, is_tcp), 0);
}

static void cancel(struct world *w, u32 id)
{
	for (struct names_exchange **link = &w->names->exchanges; *link;) {
		struct names_exchange *e = *link;
		if (e->id != id) {
			link = &e->next;
			continue;
		}
		*link = e->next;
		free(e);
	}
}

void sim_names_exchanges(struct world *w)
{
	struct sim_names *s = w->names;
	struct dns_exchange ex;
	struct wire_question q;

	while (client_poll_exchange(w->client, &ex)) {
		if (ex.is_cancel) {
			if (draw(w, 2))
				cancel(w, ex.id); /* else its answer comes late */
			continue;
		}
		s->n_exchanges++;
		if (!wire_read_query(ex.message.p, ex.message.n, &q)) {
			sim_fail(w, "a question outside cannot be read");
			return;
		}
		int name = name_of(q.name);
		if (name >= 0 && q.type != TYPE_MX && is_ours_for_long(w, (unsigned)name))
			sim_fail(w, "%s is asked for outside", q.name);
		for (size_t i = 0; i < s->n_servers; i++)
			if (ip_eq(&s->servers[i].ip, &ex.server->addr.ip))
				serve(w, &ex, &q, s->servers[i].kind);
	}
}

static void exchanges_turn(struct world *w)
{
	for (struct names_exchange **link = &w->names->exchanges; *link;) {
		struct names_exchange *e = *link;
		if (e->at > w->now) {
			link = &e->next;
			continue;
		}
		*link = e->next;
		if (e->error)
			client_exchange_failed(w->client, w->now, e->id, e->error);
		else
			client_exchange_response(w->client, w->now, e->id, e->is_vouched ? NULL : &e->from, SPAN(e->data, e->len));
		free(e);
	}
}

/* --- the world's doors ----------------------------------------------------------------------------------------------------------------- */

static void draw_resources(struct world *w)
{
	/* Those of one name in their order (spec 30 §8.2): a literal before ?, before *, before **; a longer suffix before all. */
	static const struct {
		const char *pattern;
		unsigned rank;
	} kinds[NAMES_RESOURCES] = {
		{ "app.corp.test", 4 }, { "ap?.corp.test", 3 }, { "*.corp.test", 2 }, { "**.corp.test", 1 }, { "**.lab.test", 1 }, { "*.db.lab.test", 2 },
	};
	struct sim_portal *p = &w->portal;

	for (unsigned i = 0; i < NAMES_RESOURCES; i++) {
		struct sim_resource *r = &p->resources[p->n_resources++];
		*r = (struct sim_resource){ .id = uuid_of(0x4400 + i), .type = MSG_RESOURCE_DNS, .pattern = kinds[i].pattern, .rank = kinds[i].rank };
		r->stack = draw(w, 10) < 6 ? MSG_STACK_DUAL : draw(w, 2) ? MSG_STACK_IPV4_ONLY : MSG_STACK_IPV6_ONLY;
		r->hides_filters = draw(w, 4) == 0;
		r->is_granted = draw(w, 10) < 6;
		r->expires_at = sim_wall(w) / NSEC_PER_SEC + (draw(w, 5) ? 3600 : sim_between(w, 5, 60));
		if (draw(w, 2))
			sim_draw_filters(w, r);
	}
}

void sim_names_new(struct world *w)
{
	struct sim_names *s = w->names = calloc(1, sizeof(*s));

	s->last_packet = &s->packets;
	for (unsigned i = 0; i < SIM_RESOURCES; i++)
		s->granted_since[i] = TIME_NEVER;
	draw_resources(w);
	for (unsigned i = 0; i < NAMES; i++)
		sim_names_draw_place(w, i, true);
	sim_names_draw_servers(w);
	sim_names_set_servers(w);
}

static void exchanges_free(struct sim_names *s)
{
	while (s->exchanges) {
		struct names_exchange *e = s->exchanges;
		s->exchanges = e->next;
		free(e);
	}
}

void sim_names_free(struct world *w)
{
	struct sim_names *s = w->names;

	if (!s)
		return;
	sim_names_gateway_gone(w);
	exchanges_free(s);
	sim_names_forget_queries(w);
	free(s);
	w->names = NULL;
}

void sim_names_restart_client(struct world *w, bool says_goodbye)
{
	struct sim_names *s = w->names;

	if (says_goodbye)
		client_shutdown(w->client, w->now);
	sim_client_pump(w);
	sim_portal_disconnect(w, true, w->now + MSEC(sim_between(w, 50, 2000)));
	client_free(w->client);
	exchanges_free(s);
	sim_names_forget_queries(w);
	w->client = client_new(&(struct client_config){ .rng = &w->machine_rng.rng, .internet_is_active = true }, w->now);
	s->n_sentinels = 0;
	s->may_renumber = true;
	for (unsigned i = 0; i < NAMES; i++)
		s->places[i].has_proxies = s->places[i].has_record = false;
	for (size_t i = 0; i < w->portal.n_resources; i++) {
		w->portal.resources[i].at_client = false;
		s->granted_since[i] = TIME_NEVER;
	}
	sim_names_set_servers(w);
	sim_names_unsettle(w);
}

u64 sim_names_next(const struct world *w)
{
	u64 next = sim_names_next_of_programs(w);

	for (const struct names_exchange *e = w->names->exchanges; e; e = e->next)
		next = time_min(next, e->at);
	for (const struct names_resolution *r = w->names->resolutions; r; r = r->next)
		next = time_min(next, r->at);
	return next;
}

void sim_names_turn(struct world *w)
{
	exchanges_turn(w);
	resolutions_turn(w);
	sim_names_turn_of_programs(w);
}
