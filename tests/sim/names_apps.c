#include "tests/sim/names.h"

#include "tests/unit/inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define ASK_AGAIN SEC(5)       /* as resolv.conf(5) has it */
#define CONNECT_AGAIN SEC(3)   /* a program that is not answered asks for the name again */
#define EMPTY_AGAIN SEC(1)
#define LOCAL_PORT 10000u
#define LOCAL_PORTS 20000u
#define CONNECTIONS_MAX 10u /* at one sentinel (spec 30 §11) */
#define STREAM_MAX 66000u
#define FIN 1u
#define SYN 2u
#define RST 4u
#define ACK 16u

static u64 draw(struct world *w, u64 bound)
{
	return rng_below(&w->rng.rng, bound);
}

/* --- packets --------------------------------------------------------------------------------------------------------------------------- */

/* Waits for its turn: what comes out of the client's TUN must be taken before anything goes in. */
static void say(struct world *w, const struct inner_spec *s)
{
	struct sim_names *n = w->names;
	struct names_packet *p = calloc(1, sizeof(*p));

	p->len = inner_make(s, p->data);
	*n->last_packet = p;
	n->last_packet = &p->next;
}

bool sim_names_pump(struct world *w)
{
	struct sim_names *n = w->names;
	struct names_packet *p = n->packets;

	if (!p)
		return false;
	n->packets = p->next;
	if (!n->packets)
		n->last_packet = &n->packets;
	struct tun_pkt t = { .data = p->data, .len = p->len };
	client_tun_input(w->client, w->now, sim_wall(w), &t, 1);
	client_flush(w->client, w->now);
	free(p);
	return true;
}

static void say_tcp(struct world *w, const struct names_query *q, u8 flags, u32 seq, const void *payload, u16 n)
{
	struct inner_spec s = { .src = sim_tunnel_ip(true, q->sentinel.family), .dst = q->sentinel, .proto = 6, .sport = q->port, .dport = 53,
				.tcp_flags = flags, .window = 65000, .seq = seq, .ack = q->ack, .payload = payload, .payload_len = n };
	say(w, &s);
}

/* --- questions ------------------------------------------------------------------------------------------------------------------------- */

static struct names_query *query_at(struct sim_names *s, u32 serial)
{
	struct names_query *q = &s->queries[serial % NAMES_QUERIES];
	return serial > 0 && q->serial == serial ? q : NULL;
}

static bool is_matched(const struct world *w, unsigned name)
{
	for (size_t i = 0; i < w->portal.n_resources; i++)
		if (w->portal.resources[i].at_client && sim_names_resource_has(&w->portal.resources[i], name))
			return true;
	return false;
}

static bool all_have(const struct world *w, unsigned name, u8 family)
{
	for (size_t i = 0; i < w->portal.n_resources; i++) {
		const struct sim_resource *r = &w->portal.resources[i];
		if (r->at_client && sim_names_resource_has(r, name) && !sim_names_stack_has(r->client_stack, family))
			return false;
	}
	return true;
}

static void reverse_text(const struct ip *ip, char *out, size_t size)
{
	if (ip->family == 4) {
		(void)snprintf(out, size, "%u.%u.%u.%u.in-addr.arpa", ip->b[3], ip->b[2], ip->b[1], ip->b[0]);
		return;
	}
	for (unsigned i = 0; i < 16; i++)
		(void)snprintf(out + 4 * i, size - 4 * i, "%x.%x.", ip->b[15 - i] & 15, ip->b[15 - i] >> 4);
	(void)snprintf(out + 64, size - 64, "ip6.arpa");
}

/* What spec 30 §9.2 says of it. */
static void expect(struct world *w, struct names_query *q)
{
	struct names_place *p = &w->names->places[q->name];
	bool is_ours = is_matched(w, q->name);

	q->expect = EXPECT_OUTSIDE;
	if (q->type == TYPE_PTR) {
		struct ip ip = ip4(192, 0, 2, 1);
		unsigned f = (unsigned)draw(w, 2);
		if (p->has_proxies) {
			ip = p->proxies[f][draw(w, NAMES_PER_FAMILY)];
			q->expect = EXPECT_NAME;
		}
		reverse_text(&ip, q->text, sizeof(q->text));
	} else if (q->name == NAME_CANARY) {
		q->expect = EXPECT_CANARY;
	} else if (is_ours && (q->type == TYPE_A || q->type == TYPE_AAAA)) {
		q->expect = all_have(w, q->name, q->type == TYPE_A ? 4 : 6) ? EXPECT_PROXIES : EXPECT_EMPTY;
	} else if (is_ours && q->type == TYPE_HTTPS) {
		q->expect = EXPECT_EMPTY;
	} else if (is_ours && q->type == TYPE_TXT) {
		q->expect = EXPECT_SITE;
		q->is_tcp = false;
	}
}

static enum server_kind kind_behind(const struct sim_names *s, size_t sentinel)
{
	for (size_t i = 0; i < s->n_servers; i++)
		if (ip_eq(&s->servers[i].ip, &s->behind[sentinel]))
			return s->servers[i].kind;
	return SERVER_SILENT;
}

static void forget_query(struct sim_names *s, struct names_query *q)
{
	free(q->stream);
	*q = (struct names_query){ .serial = 0 };
	(void)s;
}

static u32 ask(struct world *w, unsigned name, u16 type, bool is_tcp, struct names_app *app)
{
	struct sim_names *s = w->names;
	u8 query[512];

	if (s->n_sentinels == 0)
		return 0; /* no resolver yet */
	u32 serial = ++s->last_serial;
	struct names_query *q = &s->queries[serial % NAMES_QUERIES];
	forget_query(s, q);
	size_t i = draw(w, s->n_sentinels);
	*q = (struct names_query){ .serial = serial, .name = name, .id = (u16)draw(w, 8), .type = type, .is_tcp = is_tcp, .asked_at = w->now };
	q->port = (u16)(LOCAL_PORT + serial % LOCAL_PORTS);
	q->sentinel = s->sentinels[i];
	q->kind = kind_behind(s, i);
	q->may_fail = q->kind > SERVER_TRUNCATES;
	q->app = app;
	q->has_edns = draw(w, 2);
	(void)snprintf(q->text, sizeof(q->text), "%s", sim_names_text(name));
	expect(w, q);
	for (char *c = q->text; *c; c++)
		if (*c >= 'a' && *c <= 'z' && draw(w, 4) == 0)
			*c = (char)(*c - 32);
	s->open[s->n_open++] = serial;
	if (q->is_tcp) {
		q->seq = (u32)draw(w, UINT32_MAX); /* may wrap */
		q->stream = malloc(STREAM_MAX);
		say_tcp(w, q, SYN, q->seq, NULL, 0);
	} else {
		struct inner_spec spec = { .src = sim_tunnel_ip(true, q->sentinel.family), .dst = q->sentinel, .proto = 17, .sport = q->port,
					   .dport = 53, .payload = query };
		spec.payload_len = (u16)wire_query(query, q->id, q->text, q->type, q->has_edns);
		say(w, &spec);
	}
	return serial;
}

void sim_names_ask(struct world *w, unsigned name, u16 type, bool is_tcp)
{
	(void)ask(w, name, type, is_tcp, NULL);
	while (sim_names_pump(w)) /* before anything else happens: what is expected depends on what is granted now */
		sim_client_pump(w);
}

void sim_names_excuse(struct world *w)
{
	struct sim_names *s = w->names;

	for (size_t i = 0; i < s->n_open; i++) {
		struct names_query *q = query_at(s, s->open[i]);
		if (q) {
			q->may_fail = true;
			q->is_excused |= q->is_tcp;
		}
	}
}

void sim_names_forget_queries(struct world *w)
{
	struct sim_names *s = w->names;

	for (unsigned i = 0; i < NAMES_QUERIES; i++)
		forget_query(s, &s->queries[i]);
	s->n_open = 0;
	while (s->packets) {
		struct names_packet *p = s->packets;
		s->packets = p->next;
		free(p);
	}
	s->last_packet = &s->packets;
	for (unsigned i = 0; i < NAMES_APPS; i++)
		s->apps[i].query = 0;
}

/* --- answers --------------------------------------------------------------------------------------------------------------------------- */

/* Four addresses of the family, the same as ever, of nobody else. */
static void judge_proxies(struct world *w, const struct names_query *q, const struct wire_answer *a)
{
	struct sim_names *s = w->names;
	unsigned f = q->type == TYPE_AAAA;
	struct names_place *p = &s->places[q->name];
	char text[IP_STRLEN];

	if ((a->flags & 15) != 0 || a->n_records != NAMES_PER_FAMILY || a->n_ips != NAMES_PER_FAMILY || a->ttl != 1) {
		sim_fail(w, "%s type %u: %zu addresses of %u records, code %u", q->text, q->type, a->n_ips, a->n_records, a->flags & 15);
		return;
	}
	for (unsigned k = 0; k < NAMES_PER_FAMILY; k++) {
		const struct ip *ip = &a->ips[k];
		if (ip->family != (f ? 6 : 4) || !sim_names_is_proxy(ip) || (!f && ip->b[1] == 100 && ip->b[2] == 111))
			sim_fail(w, "%s is no proxy address", ip_format(ip, text));
		if (p->has_proxies && !ip_eq(&p->proxies[f][k], ip))
			sim_fail(w, "the proxy addresses of %s changed", q->text);
		for (unsigned i = 0; i < NAMES; i++)
			for (unsigned j = 0; i != q->name && s->places[i].has_proxies && j < NAMES_PER_FAMILY; j++)
				if (ip_eq(&s->places[i].proxies[f][j], ip))
					sim_fail(w, "%s and %s share a proxy address", q->text, sim_names_text(i));
		for (unsigned j = 0; j < k; j++)
			if (ip_eq(&a->ips[j], ip))
				sim_fail(w, "%s has a proxy address twice", q->text);
	}
	/* Both families come in fours, in step (spec 30 §9.3): those of the other are known now, too. */
	for (unsigned k = 0; k < NAMES_PER_FAMILY; k++) {
		u8 number = f ? a->ips[k].b[15] : (u8)(a->ips[k].b[3] - 1);
		p->proxies[0][k] = ip4(100, 96, 0, (u8)(number + 1));
		p->proxies[1][k] = ip_of("fd00:2021:1111:8000::");
		p->proxies[1][k].b[15] = number;
		if (!ip_eq(&p->proxies[f][k], &a->ips[k]))
			sim_fail(w, "%s is not the next free address", ip_format(&a->ips[k], text));
	}
	p->has_proxies = true;
}

static bool is_whole_text(const struct names_query *q, const struct wire_answer *a)
{
	u32 len = 0, sum = 0;

	if (q->name == NAME_BIG) {
		len = NAMES_BIG;
		for (u32 i = 0; i < len; i++)
			sum += (u8)(i * 7);
	} else {
		len = 1 + (u32)strlen(sim_names_text(q->name));
		sum = len - 1;
		for (const char *c = sim_names_text(q->name); *c; c++)
			sum += (u8)*c;
	}
	return a->text_len == len && a->text_sum == sum;
}

static void judge_outside(struct world *w, const struct names_query *q, const struct wire_answer *a)
{
	unsigned code = a->flags & 15;
	bool is_known = q->name == NAME_PUBLIC || q->name == NAME_SPLIT || q->name == NAME_BIG;

	if (code == 2 && a->n_records == 0) {
		if (!q->may_fail)
			sim_fail(w, "%s type %u: SERVFAIL of a resolver that knows", q->text, q->type);
		return;
	}
	if ((a->flags & 0x0200) && q->may_fail && !q->is_tcp && a->n_records == 0)
		return; /* nobody answers by TCP any more: what is known is passed on */
	if (q->type == TYPE_PTR || !is_known) {
		if (code != 3 || a->n_records > 0)
			sim_fail(w, "%s type %u: code %u, %u records of a name that nobody knows", q->text, q->type, code, a->n_records);
	} else if (q->name != NAME_BIG && q->type == TYPE_A) {
		struct ip truth = ip4(198, 18, 0, 1);
		if (code != 0 || a->n_ips != 1 || !ip_eq(&a->ips[0], &truth))
			sim_fail(w, "%s has a wrong address", q->text);
	} else if (q->name == NAME_BIG && q->type == TYPE_TXT) {
		bool is_short = a->flags & 0x0200;
		if (code != 0 || (is_short ? a->n_records > 0 || q->is_tcp : !is_whole_text(q, a)))
			sim_fail(w, "the long answer is damaged: flags %x, %u octets", a->flags, a->text_len);
	} else if (code != 0 || a->n_records > 0) {
		sim_fail(w, "%s type %u: code %u, %u records instead of nothing", q->text, q->type, code, a->n_records);
	}
}

static void hand_over(struct world *w, const struct names_query *q, const struct wire_answer *a)
{
	struct names_app *app = q->app;

	if (!app || !app->is_used || app->query != q->serial)
		return;
	app->query = 0;
	if (a->n_ips == 0) {
		app->next_at = w->now + EMPTY_AGAIN;
		return;
	}
	if (app->probe)
		return; /* talks already */
	app->probe = sim_probe(w, &a->ips[draw(w, a->n_ips)], app->proto, app->port);
	app->probe->is_endless = app->is_endless;
	app->next_at = w->now + CONNECT_AGAIN;
}

static void judge(struct world *w, struct names_query *q, const u8 *p, size_t n)
{
	struct wire_answer a;
	unsigned code;

	if (!wire_read_answer(p, n, &a) || a.id != q->id || a.type != q->type || strcasecmp(a.name, q->text) != 0) {
		sim_fail(w, "the answer to %s type %u is none", q->text, q->type);
		return;
	}
	if (!q->is_tcp && n > (q->has_edns ? 1212 : 512))
		sim_fail(w, "an answer of %zu octets by UDP", n);
	if (q->is_answered)
		sim_fail(w, "%s type %u is answered twice", q->text, q->type);
	q->is_answered = true;
	w->names->n_answers++;
	code = a.flags & 15;
	if (q->expect == EXPECT_PROXIES || (q->expect == EXPECT_EMPTY && q->type != TYPE_HTTPS))
		w->names->places[q->name].has_record = true;
	switch (q->expect) {
	case EXPECT_PROXIES:
		judge_proxies(w, q, &a);
		break;
	case EXPECT_EMPTY:
		if (code != 0 || a.n_records > 0)
			sim_fail(w, "%s type %u: code %u, %u records instead of nothing", q->text, q->type, code, a.n_records);
		break;
	case EXPECT_SITE:
		if (!(code == 2 && a.n_records == 0) && !(code == 0 && is_whole_text(q, &a)))
			sim_fail(w, "%s has a wrong text", q->text);
		break;
	case EXPECT_NAME:
		if (code != 0 || strcasecmp(a.target, sim_names_text(q->name)) != 0)
			sim_fail(w, "%s leads to \"%s\", code %u", q->text, a.target, code);
		break;
	case EXPECT_OUTSIDE:
		judge_outside(w, q, &a);
		break;
	case EXPECT_CANARY:
		if (code != 3 || a.n_records > 0)
			sim_fail(w, "%s exists", q->text);
		break;
	}
	hand_over(w, q, &a);
}

/* Others that wait for an answer by TCP at the same sentinel. */
static unsigned n_connections(struct sim_names *s, const struct names_query *q)
{
	unsigned n = 0;

	for (size_t i = 0; i < s->n_open; i++) {
		const struct names_query *o = query_at(s, s->open[i]);
		n += o && o != q && o->is_tcp && !o->is_answered && !o->is_closed && ip_eq(&o->sentinel, &q->sentinel);
	}
	return n;
}

/* One end of TCP that takes everything in order: between a program and the client nothing is lost. */
static void tcp_input(struct world *w, struct names_query *q, const u8 *data, const struct packet *p)
{
	u32 header = p->l4 + (u32)(data[p->l4 + 12] >> 4) * 4, n = p->len - header;
	u8 query[514];

	if (p->tcp_flags & TCP_RST) {
		if (!q->is_answered && !q->is_excused && n_connections(w->names, q) < CONNECTIONS_MAX)
			sim_fail(w, "a connection to ask for %s type %u is refused", q->text, q->type);
		q->is_closed = q->is_excused = true;
		return;
	}
	if (p->tcp_flags & TCP_SYN) {
		bool is_first = q->stream_len == 0 && q->ack == 0;
		q->ack = p->tcp_seq + 1;
		u16 len = (u16)wire_query(query + 2, q->id, q->text, q->type, q->has_edns);
		put_be16(query, len);
		if (is_first)
			q->seq++;
		say_tcp(w, q, ACK, q->seq, query, (u16)(2 + len));
		if (is_first)
			q->seq += 2u + len;
		return;
	}
	if (n > 0 && p->tcp_seq == q->ack && q->stream_len + n <= STREAM_MAX) {
		memcpy(q->stream + q->stream_len, data + header, n);
		q->stream_len += n;
		q->ack += n;
	}
	bool is_over = (p->tcp_flags & TCP_FIN) && p->tcp_seq + n == q->ack;
	q->ack += is_over;
	q->is_closed |= is_over;
	if (n > 0 || is_over)
		say_tcp(w, q, ACK, q->seq, NULL, 0);
	if (!q->is_answered && q->stream_len >= 2 && q->stream_len >= 2u + get_be16(q->stream)) {
		judge(w, q, q->stream + 2, get_be16(q->stream));
		say_tcp(w, q, FIN | ACK, q->seq++, NULL, 0);
	} else if (q->is_answered && q->stream_len > 2u + get_be16(q->stream)) {
		sim_fail(w, "%s type %u is answered twice", q->text, q->type);
	}
}

static struct names_query *query_of(struct sim_names *s, const struct packet *p, bool is_tcp)
{
	for (unsigned i = 0; i < NAMES_QUERIES; i++) {
		struct names_query *q = &s->queries[i];
		if (q->serial && q->port == p->dst_port && q->is_tcp == is_tcp && ip_eq(&q->sentinel, &p->src))
			return q;
	}
	return NULL;
}

static bool is_sentinel(const struct ip *ip)
{
	static const u8 net[] = { 0xfd, 0x00, 0x20, 0x21, 0x11, 0x11, 0x80, 0x00, 0x01, 0x00, 0x01, 0x00, 0x01, 0x11, 0x00 };

	if (ip->family == 4)
		return ip->b[0] == 100 && ip->b[1] == 100 && ip->b[2] == 111;
	return memcmp(ip->b, net, sizeof(net)) == 0;
}

bool sim_names_at_client(struct world *w, const u8 *data, const struct packet *p)
{
	struct ip gateway = sim_tunnel_ip(false, p->src.family);

	if (ip_eq(&p->src, &gateway) && p->src_port == 53535)
		return true; /* its resolver's answer to a question that was given up meanwhile */
	if (!is_sentinel(&p->src) || p->src_port != 53 || (p->kind != L4_UDP && p->kind != L4_TCP))
		return false;
	struct names_query *q = query_of(w->names, p, p->kind == L4_TCP);
	if (!q)
		sim_fail(w, "an answer to nobody's port %u", p->dst_port);
	else if (p->kind == L4_TCP)
		tcp_input(w, q, data, p);
	else
		judge(w, q, data + p->l4 + 8, p->len - p->l4 - 8u);
	return true;
}

/* --- programs -------------------------------------------------------------------------------------------------------------------------- */

struct names_app *sim_names_dial(struct world *w, unsigned name, u8 family, u8 proto, u16 port)
{
	for (unsigned i = 0; i < NAMES_APPS; i++) {
		struct names_app *a = &w->names->apps[i];
		if (a->is_used)
			continue;
		*a = (struct names_app){ .is_used = true, .name = name, .family = family, .proto = proto, .port = port, .next_at = w->now };
		a->is_over_tcp = draw(w, 4) == 0;
		return a;
	}
	abort();
}

void sim_names_silence(struct world *w)
{
	memset(w->names->apps, 0, sizeof(w->names->apps));
	sim_silence(w);
}

static void app_turn(struct world *w, struct names_app *a)
{
	if (a->probe && a->probe->is_answered && !a->is_connected) {
		a->is_connected = true;
		w->names->n_connects++;
		a->next_at = a->is_endless ? w->now + MSEC(sim_between(w, 200, 4000)) : TIME_NEVER;
	}
	if (w->now < a->next_at)
		return;
	if (a->probe && !a->is_connected) {
		a->probe->is_used = false;
		a->probe = NULL;
	}
	a->query = ask(w, a->name, a->family == 4 ? TYPE_A : TYPE_AAAA, a->is_over_tcp, a);
	/* Who talks asks now and then all the same, which makes the site resolve the name again. */
	a->next_at = w->now + (a->is_connected ? MSEC(sim_between(w, 500, 4000)) : a->query ? ASK_AGAIN : EMPTY_AGAIN);
}

static u64 patience(const struct names_query *q)
{
	return q->expect == EXPECT_SITE ? NAMES_PATIENCE_SITE : NAMES_PATIENCE;
}

static void check_silence(struct world *w)
{
	struct sim_names *s = w->names;
	size_t kept = 0;

	for (size_t i = 0; i < s->n_open; i++) {
		struct names_query *q = query_at(s, s->open[i]);
		if (!q || q->is_answered)
			continue;
		if (w->now < q->asked_at + patience(q)) {
			s->open[kept++] = s->open[i];
			continue;
		}
		if (!q->is_excused)
			sim_fail(w, "%s type %u by %s is never answered", q->text, q->type, q->is_tcp ? "TCP" : "UDP");
	}
	s->n_open = kept;
}

u64 sim_names_next_of_programs(const struct world *w)
{
	const struct sim_names *s = w->names;
	u64 next = s->packets ? w->now : TIME_NEVER;

	for (unsigned i = 0; i < NAMES_APPS; i++)
		if (s->apps[i].is_used)
			next = time_min(next, s->apps[i].next_at);
	for (size_t i = 0; i < s->n_open; i++) {
		const struct names_query *q = &s->queries[s->open[i] % NAMES_QUERIES];
		if (q->serial == s->open[i] && !q->is_answered)
			next = time_min(next, q->asked_at + patience(q));
	}
	return next;
}

void sim_names_turn_of_programs(struct world *w)
{
	for (unsigned i = 0; i < NAMES_APPS; i++)
		if (w->names->apps[i].is_used)
			app_turn(w, &w->names->apps[i]);
	check_silence(w);
}
