/* tests/scenario/actions.h: what a story can say, word by word (README beside). Each action returns false with text_error when the line makes no
 * sense. Included by test_stories.c only.
 */
#pragma once

#include "tests/scenario/world.h"

static bool nonsense(const char *why)
{
	text_error = why;
	return false;
}

static bool copy_word(const char *word, char *out, size_t size)
{
	if (!word || strlen(word) >= size)
		return nonsense("a word is missing or too long");
	memcpy(out, word, strlen(word) + 1);
	return true;
}

/* 5s, 200ms, 3min, 2h */
static bool span_parse(const char *word, u64 *out)
{
	static const struct {
		const char *unit;
		u64 ns;
	} units[] = { { "ms", MSEC(1) }, { "s", SEC(1) }, { "min", MINUTES(1) }, { "h", MINUTES(60) } };
	char *end;
	unsigned long n = word && word[0] >= '0' && word[0] <= '9' ? strtoul(word, &end, 10) : 0;
	for (unsigned i = 0; n > 0 && i < ARRAY_LEN(units); i++)
		if (strcmp(end, units[i].unit) == 0) {
			*out = n * units[i].ns;
			return true;
		}
	return nonsense("not a time: 200ms, 5s, 2min, 1h");
}

/* --- policy and configuration ---------------------------------------------------------------------------------------------------------- */

static struct named_resource *resource_find(const char *name)
{
	for (unsigned i = 0; name && i < w->n_resources; i++)
		if (strcmp(w->resources[i].name, name) == 0)
			return &w->resources[i];
	text_error = "no such resource";
	return NULL;
}

/* tcp/443,udp/1000-2000,icmp */
static bool filters_parse(const char *word, struct named_resource *r)
{
	char copy[200], *save;
	if (!copy_word(word, copy, sizeof(copy)))
		return false;
	r->r.n_filters = 0;
	for (char *one = strtok_r(copy, ",", &save); one; one = strtok_r(NULL, ",", &save)) {
		struct msg_filter f = { .port_end = 65535 };
		unsigned from = 0, to = 65535;
		if (r->r.n_filters == ARRAY_LEN(r->filters))
			return nonsense("too many filters");
		if (strcmp(one, "icmp") == 0)
			f.protocol = MSG_ICMP;
		else if (strncmp(one, "tcp", 3) == 0 || strncmp(one, "udp", 3) == 0)
			f.protocol = one[0] == 't' ? MSG_TCP : MSG_UDP;
		else
			return nonsense("a filter is tcp, udp or icmp");
		if (one[3] == '/') {
			int n = sscanf(one + 4, "%u-%u", &from, &to);
			if (n < 1 || from > 65535 || to > 65535)
				return nonsense("not a range of ports");
			f.port_start = (u16)from;
			f.port_end = (u16)(n == 2 ? to : from);
		}
		r->filters[r->r.n_filters++] = f;
	}
	r->r.filters = r->filters;
	return true;
}

static bool resource_read(struct words *l, struct named_resource *r)
{
	if (words_take(l, "dns")) {
		r->r.type = MSG_RESOURCE_DNS;
		if (!copy_word(words_next(l), r->address, sizeof(r->address)))
			return false;
	} else if (words_take(l, "cidr")) {
		r->r.type = MSG_RESOURCE_CIDR;
		if (!copy_word(words_next(l), r->address, sizeof(r->address)) || cidr_parse(SPAN(r->address, strlen(r->address)), &r->r.net))
			return nonsense("not a network");
	} else if (words_take(l, "internet")) {
		r->r.type = MSG_RESOURCE_INTERNET;
	} else {
		return nonsense("a resource is dns, cidr or internet");
	}
	r->r.ip_stack = MSG_STACK_DUAL;
	while (l->at < l->n) {
		if (words_take(l, "ipv4"))
			r->r.ip_stack = MSG_STACK_IPV4_ONLY;
		else if (words_take(l, "ipv6"))
			r->r.ip_stack = MSG_STACK_IPV6_ONLY;
		else if (words_take(l, "filters")) {
			if (!filters_parse(words_next(l), r))
				return false;
		} else
			return nonsense("unknown word in a resource");
	}
	return true;
}

/* A new resource, or another shape of one that is there. */
static bool act_resource(struct words *l)
{
	const char *name = words_next(l);
	struct named_resource *r = resource_find(name);

	if (!r) {
		if (w->n_resources == RESOURCES_MAX)
			return nonsense("too many resources");
		r = &w->resources[w->n_resources++];
		if (!copy_word(name, r->name, sizeof(r->name)))
			return false;
		r->r.id = uuid_of(w->n_resources);
	}
	struct uuid id = r->r.id;
	r->site = (struct msg_site){ .id = uuid_of(900), .name = "site" };
	r->r = (struct msg_resource){ .id = id, .name = r->name, .address = r->address, .sites = &r->site, .n_sites = 1 };
	if (!resource_read(l, r))
		return false;
	struct portal_message m = { .type = MSG_RESOURCE_CREATED_OR_UPDATED, .resource = r->r };
	fake = w->client_node;
	return client_message(w->c, w->now, WALL + w->now, &m) == 0 ? true : nonsense("the client refuses the message");
}

static bool act_delete(struct words *l)
{
	struct named_resource *r = resource_find(words_next(l));
	struct portal_message m = { .type = MSG_RESOURCE_DELETED };
	if (!r)
		return false;
	m.id = r->r.id;
	fake = w->client_node;
	return client_message(w->c, w->now, WALL + w->now, &m) == 0 ? true : nonsense("the client refuses the message");
}

static bool act_interface(struct words *l)
{
	struct ip do53[8];
	const char *doh[8], *search = NULL;
	struct portal_message m = { .type = MSG_CONFIG_CHANGED };
	size_t n_do53 = 0, n_doh = 0;

	for (const char *list = ""; l->at < l->n;) {
		const char *word = words_next(l);
		if (strcmp(word, "do53") == 0 || strcmp(word, "doh") == 0 || strcmp(word, "search") == 0) {
			list = word;
		} else if (strcmp(list, "do53") == 0 && n_do53 < ARRAY_LEN(do53)) {
			l->at--;
			if (!words_ip(l, &do53[n_do53++]))
				return false;
		} else if (strcmp(list, "doh") == 0 && n_doh < ARRAY_LEN(doh)) {
			doh[n_doh++] = word;
		} else if (strcmp(list, "search") == 0) {
			search = word;
		} else {
			return nonsense("interface do53 IP… doh URL… search NAME");
		}
	}
	m.config_changed = w->interface;
	m.config_changed.search_domain = search;
	m.config_changed.upstream_do53 = do53;
	m.config_changed.n_upstream_do53 = n_do53;
	m.config_changed.upstream_doh = doh;
	m.config_changed.n_upstream_doh = n_doh;
	fake = w->client_node;
	return client_message(w->c, w->now, WALL + w->now, &m) == 0 ? true : nonsense("the client refuses the message");
}

static bool act_system(struct words *l)
{
	struct ip list[16];
	size_t n = 0;
	if (!words_take(l, "none"))
		while (l->at < l->n && n < ARRAY_LEN(list))
			if (!words_ip(l, &list[n++]))
				return false;
	client_set_system_resolvers(w->c, w->now, list, n);
	return true;
}

static bool act_internet(struct words *l)
{
	bool on = words_take(l, "on");
	if (!on && !words_take(l, "off"))
		return nonsense("on or off");
	fake = w->client_node;
	client_set_internet(w->c, w->now, on);
	return true;
}

/* Roaming: the portal is joined anew and relays are there again. */
static bool act_reset(struct words *l)
{
	(void)l;
	fake = w->client_node;
	client_reset(w->c, w->now);
	w->client_node->has_relay = true;
	portal_inits_client();
	return true;
}

/* --- the portal's part ----------------------------------------------------------------------------------------------------------------- */

static struct part *part_find(const char *name)
{
	for (unsigned i = 0; name && i < w->n_parts; i++)
		if (strcmp(w->parts[i].name, name) == 0)
			return &w->parts[i];
	text_error = "nobody of this name";
	return NULL;
}

static bool act_other(struct words *l)
{
	bool is_client = words_take(l, "client");
	struct part *p = &w->parts[w->n_parts];
	char text[IP_STRLEN];

	if ((!is_client && !words_take(l, "gateway")) || w->n_parts == PARTS_MAX)
		return nonsense("other client NAME, other gateway NAME");
	*p = (struct part){ .id = (is_client ? 8 : 51) + w->n_parts, .is_client = is_client };
	if (!copy_word(words_next(l), p->name, sizeof(p->name)))
		return false;
	snprintf(text, sizeof(text), is_client ? "100.64.2.%u" : "100.64.1.%u", p->id);
	p->own[0] = ip_of(text);
	snprintf(text, sizeof(text), is_client ? "fd00:2021:1111::2:%u" : "fd00:2021:1111::1:%u", p->id);
	p->own[1] = ip_of(text);
	w->n_parts++;
	return true;
}

static bool gateway_told(const struct portal_message *m)
{
	fake = w->gateway_node;
	return gateway_message(w->g, w->now, WALL + w->now, m) == 0 ? true : nonsense("the gateway refuses the message");
}

static bool authorize(const struct named_resource *r, unsigned id, const struct ip own[2], u64 secs)
{
	struct portal_message m = { .type = MSG_AUTHORIZE_FLOW };
	m.authorize_flow.ref = "ref";
	m.authorize_flow.resource = r->r;
	m.authorize_flow.client.id = uuid_of(id);
	m.authorize_flow.client.ipv4 = own[0];
	m.authorize_flow.client.ipv6 = own[1];
	m.authorize_flow.client_ice = (struct msg_ice){ "cu", "cp" };
	m.authorize_flow.gateway_ice = (struct msg_ice){ "gu", "gp" };
	m.authorize_flow.expires_at = secs ? (WALL + w->now) / SEC(1) + secs : MSG_NEVER_EXPIRES;
	return gateway_told(&m);
}

static bool flow_created(const struct named_resource *r, unsigned id, const struct ip own[2])
{
	struct portal_message m = { .type = MSG_FLOW_CREATED };
	m.flow_created = (struct msg_flow_created){ .resource_id = r->r.id, .gateway_id = uuid_of(id), .site_id = r->site.id,
						    .gateway_ipv4 = own[0], .gateway_ipv6 = own[1], .client_ice = { "a", "b" },
						    .gateway_ice = { "c", "d" } };
	fake = w->client_node;
	return client_message(w->c, w->now, WALL + w->now, &m) == 0 ? true : nonsense("the client refuses the message");
}

static bool flow_failed(const struct named_resource *r, const char *reason)
{
	static const enum msg_reason reasons[] = { MSG_REASON_UNKNOWN,	 MSG_REASON_NOT_FOUND, MSG_REASON_OFFLINE, MSG_REASON_VERSION_MISMATCH,
						   MSG_REASON_FORBIDDEN, MSG_REASON_DISABLED };
	struct portal_message m = { .type = MSG_FLOW_CREATION_FAILED };
	for (unsigned i = 0; reason && i < ARRAY_LEN(reasons); i++)
		if (strcmp(msg_reason_name(reasons[i]), reason) == 0) {
			m.flow_creation_failed = (struct msg_flow_creation_failed){ .resource_id = r->r.id, .reason = reasons[i], .reason_text = "" };
			fake = w->client_node;
			return client_message(w->c, w->now, WALL + w->now, &m) == 0 ? true : nonsense("the client refuses the message");
		}
	return nonsense("no such reason");
}

static bool act_portal(struct words *l)
{
	const char *verb = words_next(l);
	struct named_resource *r = resource_find(words_next(l));
	struct part *p;

	if (!verb || !r)
		return false;
	if (strcmp(verb, "creates") == 0 && words_take(l, "by"))
		return (p = part_find(words_next(l))) && flow_created(r, p->id, p->own);
	if (strcmp(verb, "creates") == 0)
		return authorize(r, CLIENT_ID, w->client_ip, 0) && flow_created(r, GATEWAY_ID, w->gateway_ip);
	if (strcmp(verb, "fails") == 0)
		return flow_failed(r, words_next(l));
	if (strcmp(verb, "grants") == 0) {
		u64 span = 0;
		if (!words_take(l, "to") || !(p = part_find(words_next(l))))
			return nonsense("grants RESOURCE to CLIENT [for TIME]");
		if (words_take(l, "for") && !span_parse(words_next(l), &span))
			return false;
		return authorize(r, p->id, p->own, span / SEC(1));
	}
	if (strcmp(verb, "revokes") == 0) {
		struct portal_message m = { .type = MSG_REJECT_ACCESS };
		if (!words_take(l, "of"))
			return nonsense("revokes RESOURCE of CLIENT");
		if (words_take(l, "client"))
			m.access.client_id = uuid_of(CLIENT_ID);
		else if ((p = part_find(words_next(l))))
			m.access.client_id = uuid_of(p->id);
		else
			return false;
		m.access.resource_id = r->r.id;
		return gateway_told(&m);
	}
	return nonsense("the portal creates, fails, grants or revokes");
}

/* --- applications ---------------------------------------------------------------------------------------------------------------------- */

static bool app_dials(const char *name, const struct ip *sentinel, struct app_conn **out)
{
	struct app_conn *conn = &w->conns[w->n_conns];
	struct endpoint local = { w->client_ip[sentinel->family == 6], 0 }, remote = { *sentinel, 53 };

	if (w->n_conns == CONNS_MAX)
		return nonsense("too many connections");
	if (!copy_word(name, conn->name, sizeof(conn->name)) || tcp_stack_connect(w->app_tcp, w->now, &local, &remote, &conn->handle))
		return nonsense("cannot connect");
	w->n_conns++;
	*out = conn;
	world_settle();
	return true;
}

/* Takes what is about the way a question goes out of its words. */
struct way {
	struct ip sentinel;
	struct app_conn *conn;
	bool is_tcp;
};

static bool way_read(struct words *l, struct way *out)
{
	struct words rest = { .n = 0 };

	*out = (struct way){ .sentinel = ip_of("100.100.111.1") };
	while (l->at < l->n) {
		if (words_take(l, "at")) {
			if (!words_ip(l, &out->sentinel))
				return false;
		} else if (words_take(l, "tcp")) {
			out->is_tcp = true;
		} else if (words_take(l, "on")) {
			const char *name = words_next(l);
			out->is_tcp = true;
			for (unsigned i = 0; name && i < w->n_conns; i++)
				if (strcmp(w->conns[i].name, name) == 0)
					out->conn = &w->conns[i];
			if (!out->conn)
				return nonsense("no such connection");
		} else {
			rest.w[rest.n++] = l->w[l->at++];
		}
	}
	*l = rest;
	return true;
}

static bool app_asks(struct words *l)
{
	struct text_query q;
	struct way way;
	u8 packet[TUNNEL_MTU];

	if (!way_read(l, &way) || !text_query_make(l, 1, &q))
		return false;
	if (l->at != l->n)
		return nonsense("unknown word in a question");
	if (way.is_tcp) {
		if (!way.conn && !app_dials("tcp", &way.sentinel, &way.conn))
			return false;
		say_tcp(w->app_tcp, way.conn->handle, SPAN(q.message, q.len));
		return true;
	}
	struct endpoint from = { w->client_ip[way.sentinel.family == 6], 40000 }, to = { way.sentinel, 53 };
	u32 len = udp_packet_write(&from, &to, SPAN(q.message, q.len), packet);
	from_app(packet, len);
	return true;
}

static bool act_app(struct words *l)
{
	struct ip sentinel = ip_of("100.100.111.1");
	struct app_conn *conn;
	u8 packet[TUNNEL_MTU];
	u32 len;

	if (words_take(l, "asks"))
		return app_asks(l);
	if (words_take(l, "dials")) {
		const char *name = words_next(l);
		if (words_take(l, "at") && !words_ip(l, &sentinel))
			return false;
		return app_dials(name, &sentinel, &conn);
	}
	if (words_take(l, "hangs")) {
		const char *name = words_take(l, "up") ? words_next(l) : NULL;
		for (unsigned i = 0; name && i < w->n_conns; i++)
			if (strcmp(w->conns[i].name, name) == 0) {
				tcp_stack_close(w->app_tcp, w->now, w->conns[i].handle);
				return true;
			}
		return nonsense("hangs up CONNECTION");
	}
	if (!words_take(l, "sends"))
		return nonsense("an application asks, dials, hangs up or sends");
	if (!text_packet_make(l, w->client_ip, packet, &len))
		return false;
	from_app(packet, len);
	return true;
}

/* --- upstream resolvers ---------------------------------------------------------------------------------------------------------------- */

/* The latest exchange with this server, of this transport and question if they are named. */
static struct exchange *exchange_find(struct words *l)
{
	const char *server = words_next(l);
	int transport = words_take(l, "udp") ? DNS_OVER_UDP : words_take(l, "tcp") ? DNS_OVER_TCP : -1;
	struct dns_name name;
	u16 type = 0;

	if (words_take(l, "to")) {
		const char *word;
		if (!text_type_parse(words_next(l), &type) || !(word = words_next(l)) || dns_name_from_text(word, &name)) {
			text_error = "to TYPE NAME";
			return NULL;
		}
	}
	for (unsigned i = w->n_exchanges; server && i-- > 0 && i + EXCHANGES_MAX >= w->n_exchanges;) {
		struct exchange *x = &w->exchanges[i % EXCHANGES_MAX];
		struct dns_query q;
		if (strcmp(name_of_server(&x->server), server) != 0 || (transport >= 0 && (int)x->transport != transport))
			continue;
		if (type && (dns_query_parse(SPAN(x->query, x->len), &q) || q.q.type != type || !dns_name_eq(&q.q.name, &name)))
			continue;
		return x;
	}
	text_error = "this server was not asked that";
	return NULL;
}

static bool act_upstream(struct words *l)
{
	static struct text_answer a;
	struct exchange *x = exchange_find(l);

	if (!x)
		return false;
	if (words_take(l, "fails")) {
		int error = words_take(l, "timeout") ? ERR_TIMEOUT : words_take(l, "refused") ? ERR_DENIED :
			    words_take(l, "closed") ? ERR_CLOSED : words_take(l, "unreachable") ? ERR_NO_ROUTE : 0;
		if (!error)
			return nonsense("fails timeout, refused, closed or unreachable");
		if (x->asker == BY_CLIENT)
			client_exchange_failed(w->c, w->now, x->id, error);
		else
			forwarder_failed(w->forwarders[x->asker], w->now, x->id, error);
		return true;
	}
	if (!words_take(l, "answers"))
		return nonsense("an upstream answers or fails");
	if (!text_answer_make(l, SPAN(x->query, x->len), &a))
		return false;
	struct endpoint from = x->server.addr;
	if (a.from.family)
		from.ip = a.from;
	const struct endpoint *sender = x->transport == DNS_OVER_UDP ? &from : NULL;
	if (x->asker == BY_CLIENT)
		client_exchange_response(w->c, w->now, x->id, sender, SPAN(a.message, a.len));
	else
		(void)forwarder_response(w->forwarders[x->asker], w->now, x->id, sender, SPAN(a.message, a.len));
	return true;
}

/* --- the site -------------------------------------------------------------------------------------------------------------------------- */

static bool lan_answers(struct words *l)
{
	static struct text_answer a;
	const struct lan_query *q = w->n_lan_queries ? &w->lan_queries[(w->n_lan_queries - 1) % LAN_QUERIES] : NULL;
	u8 packet[TUNNEL_MTU];

	if (!q)
		return nonsense("nobody in the site was asked");
	if (!text_answer_make(l, SPAN(q->message, q->len), &a))
		return false;
	if (q->conn) {
		say_tcp(w->lan_tcp, q->conn, SPAN(a.message, a.len));
		return true;
	}
	struct endpoint from = q->server;
	if (a.from.family)
		from.ip = a.from;
	u32 len = udp_packet_write(&from, &q->asker, SPAN(a.message, a.len), packet);
	if (!len)
		return nonsense("too long for UDP");
	from_lan(packet, len);
	return true;
}

/* The last packet that came, with source and destination changed over. */
static bool lan_replies(void)
{
	struct packet p;
	u8 out[TUNNEL_MTU];

	if (!w->last_at_lan_len || packet_parse(w->last_at_lan, w->last_at_lan_len, TUNNEL_MTU, &p))
		return nonsense("nothing came that could be replied to");
	struct inner_spec s = { .src = p.dst, .dst = p.src, .proto = p.proto, .sport = p.dst_port, .dport = p.src_port, .tcp_flags = TCP_ACK,
				.window = 65535, .payload_len = 20 };
	if (p.kind == L4_ECHO)
		s.sport = p.proto == 1 ? 0 : 129 << 8;
	u32 len = inner_make(&s, out);
	from_lan(out, len);
	return true;
}

/* The last packet that came finds a closed port. */
static bool lan_refuses(void)
{
	struct packet p;
	u8 out[TUNNEL_MTU];

	if (!w->last_at_lan_len || packet_parse(w->last_at_lan, w->last_at_lan_len, TUNNEL_MTU, &p))
		return nonsense("nothing came that could be refused");
	struct inner_spec s = { .src = p.dst, .dst = p.src, .proto = p.dst.family == 4 ? 1 : 58, .sport = p.dst.family == 4 ? 3 << 8 | 3 : 1 << 8 | 4,
				.payload = w->last_at_lan, .payload_len = (u16)MIN(w->last_at_lan_len, 500u) };
	u32 len = inner_make(&s, out);
	from_lan(out, len);
	return true;
}

static bool act_lan(struct words *l)
{
	u8 packet[TUNNEL_MTU];
	u32 len;

	if (words_take(l, "serves")) {
		struct endpoint ep = { .port = 53 };
		if (!words_ip(l, &ep.ip))
			return false;
		if (words_take(l, "port")) {
			if (!words_number(l, 65535, &len))
				return false;
			ep.port = (u16)len;
		}
		return tcp_stack_listen(w->lan_tcp, &ep, 20) == 0 ? true : nonsense("cannot listen there");
	}
	if (words_take(l, "answers"))
		return lan_answers(l);
	if (words_take(l, "replies"))
		return lan_replies();
	if (words_take(l, "refuses"))
		return lan_refuses();
	if (!words_take(l, "sends"))
		return nonsense("the site serves, answers, replies, refuses or sends");
	if (!text_packet_make(l, w->client_ip, packet, &len))
		return false;
	from_lan(packet, len);
	return true;
}

static bool act_site(struct words *l)
{
	const char *domain = words_take(l, "says") ? words_next(l) : NULL;
	struct ip list[64];
	size_t n = 0;
	int error = 0;

	if (!domain)
		return nonsense("site says NAME …");
	if (words_take(l, "unknown"))
		error = ERR_AGAIN;
	else if (words_take(l, "timeout"))
		error = ERR_TIMEOUT;
	else if (!words_take(l, "nothing"))
		while (l->at < l->n && n < ARRAY_LEN(list))
			if (!words_ip(l, &list[n++]))
				return false;
	for (unsigned i = w->n_resolutions; i-- > 0 && i + ARRAY_LEN(w->resolutions) >= w->n_resolutions;)
		if (strcasecmp(w->resolutions[i % ARRAY_LEN(w->resolutions)].domain, domain) == 0) {
			fake = w->gateway_node;
			gateway_resolved(w->g, w->now, WALL + w->now, w->resolutions[i % ARRAY_LEN(w->resolutions)].token, list, n, error);
			return true;
		}
	return nonsense("the gateway did not ask for this name");
}

/* --- other clients and gateways -------------------------------------------------------------------------------------------------------- */

static bool control_make(struct words *l, u8 *packet, u32 *len)
{
	const char *verb = words_next(l);
	u32 event;

	if (strcmp(verb, "control") == 0) {
		const char *json;
		if (!words_number(l, 255, &event))
			return false;
		json = words_next(l);
		u32 n = json ? (u32)strlen(json) : 0;
		const u8 head[8] = { 0x60, 0, 0, 0, (u8)((8 + n) >> 8), (u8)(8 + n), 0xff, 0 };
		memset(packet, 0, CONTROL_HEADER);
		memcpy(packet, head, 8);
		packet[40] = (u8)event;
		if (n > CONTROL_JSON_MAX)
			return nonsense("too long");
		if (n)
			memcpy(packet + CONTROL_HEADER, json, n);
		*len = CONTROL_HEADER + n;
		return true;
	}
	struct named_resource *r = resource_find(words_next(l));
	const char *domain = words_next(l);
	struct dns_name name;
	if (!r || !domain || dns_name_from_text(domain, &name))
		return nonsense("assigned RESOURCE NAME IP…, status RESOURCE NAME STATUS");
	if (strcmp(verb, "assigned") == 0) {
		struct control_assigned m = { .resource = r->r.id, .domain = name };
		while (l->at < l->n && m.n_proxies < CONTROL_PROXIES_MAX)
			if (!words_ip(l, &m.proxies[m.n_proxies++]))
				return false;
		*len = control_write_assigned(&m, packet);
	} else {
		struct control_status m = { .resource = r->r.id, .domain = name, .is_active = words_take(l, "Active") };
		if (!m.is_active && !words_take(l, "Inactive"))
			return nonsense("Active or Inactive");
		*len = control_write_status(&m, packet);
	}
	return true;
}

static bool act_part(struct part *p, struct words *l)
{
	u8 packet[TUNNEL_MTU];
	u32 len = 0;

	if (!words_take(l, "sends") || l->at == l->n)
		return nonsense("others can only send");
	const char *kind = l->w[l->at];
	bool is_control = strcmp(kind, "assigned") == 0 || strcmp(kind, "status") == 0 || strcmp(kind, "control") == 0;
	if (is_control ? !control_make(l, packet, &len) : !text_packet_make(l, p->own, packet, &len))
		return false;
	if (p->is_client)
		to_gateway(p->id, packet, len);
	else
		to_client(p->id, packet, len);
	return true;
}

#include "tests/scenario/resolvers.h"

static bool act_wait(struct words *l)
{
	u64 span;
	if (!span_parse(words_next(l), &span))
		return false;
	world_wait(span);
	return true;
}

static bool act(struct words *l)
{
	static const struct {
		const char *word;
		bool (*run)(struct words *l);
	} actions[] = {
		{ "resource", act_resource }, { "delete", act_delete },	    { "interface", act_interface }, { "system", act_system },
		{ "internet", act_internet }, { "reset", act_reset },	    { "other", act_other },	    { "portal", act_portal },
		{ "app", act_app },	      { "upstream", act_upstream }, { "lan", act_lan },		    { "site", act_site },
		{ "wait", act_wait },	      { "proxy", act_proxy },	    { "host", act_host },	    { "resolver", act_resolver },
	};
	const char *word = words_next(l);
	struct part *p;

	for (unsigned i = 0; i < ARRAY_LEN(actions); i++)
		if (strcmp(actions[i].word, word) == 0)
			return actions[i].run(l) && (l->at == l->n || nonsense("a word too much"));
	if (!(p = part_find(word)))
		return nonsense("unknown word");
	return act_part(p, l) && (l->at == l->n || nonsense("a word too much"));
}
