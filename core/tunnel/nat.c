#include "core/tunnel/nat.h"

#include "core/ip/checksum.h"

#include <assert.h>
#include <stdlib.h>

#define FAR_STEP 40504u /* has no factor in common with the number of ports: visits each once */

enum { OUT_FIN = 1, IN_FIN = 2, ANY_RST = 4, CONFIRMED = 8 };

/* What rewriting from inside to outside adds to a one's complement sum; the way back adds the complement. */
struct delta {
	u16 ip, port;
};

struct nat_session {
	struct nat_key inside, outside;
	struct heap_node due; /* never later than its end, often earlier */
	u64 last_out, last_in;
	struct nat_session *newer, *older; /* among the expired */
	struct delta delta;
	u8 flags;
	bool is_expired;
};

static_assert(sizeof(struct nat_key) == 20, "hashed as memory");

/* --- the tables ---------------------------------------------------------------------------------------------------------------------------- */

void nat_init(struct nat *t, struct rng *rng)
{
	*t = (struct nat){ 0 };
	table_init(&t->inside, sizeof(struct nat_key), NAT_SESSIONS_MAX, rng);
	table_init(&t->outside, sizeof(struct nat_key), NAT_SESSIONS_MAX + NAT_EXPIRED_MAX, rng);
	heap_init(&t->due, NAT_SESSIONS_MAX);
}

void nat_reset(struct nat *t)
{
	const void *key;
	void *s;

	for (u32 it = 0; table_next(&t->outside, &it, &key, &s);)
		free(s);
	table_clear(&t->outside);
	table_clear(&t->inside);
	heap_deinit(&t->due);
	t->recent = t->newest = t->oldest = NULL;
	t->n_live = t->n_expired = 0;
}

void nat_deinit(struct nat *t)
{
	nat_reset(t);
	table_deinit(&t->outside);
	table_deinit(&t->inside);
}

static void unlink_expired(struct nat *t, struct nat_session *s)
{
	if (s->newer)
		s->newer->older = s->older;
	else
		t->newest = s->older;
	if (s->older)
		s->older->newer = s->newer;
	else
		t->oldest = s->newer;
	s->newer = s->older = NULL;
	t->n_expired--;
}

static void link_expired(struct nat *t, struct nat_session *s)
{
	s->newer = NULL;
	s->older = t->newest;
	if (t->newest)
		t->newest->newer = s;
	else
		t->oldest = s;
	t->newest = s;
	t->n_expired++;
}

static void forget(struct nat *t, struct nat_session *s)
{
	unlink_expired(t, s);
	(void)table_del(&t->outside, &s->outside);
	free(s);
}

static void end(struct nat *t, struct nat_session *s)
{
	(void)table_del(&t->inside, &s->inside);
	if (t->recent == s)
		t->recent = NULL;
	s->is_expired = true;
	t->n_live--;
	t->stats.ended++;
	link_expired(t, s);
	if (t->n_expired > NAT_EXPIRED_MAX) {
		forget(t, t->oldest);
		t->stats.forgotten++;
	}
}

/* --- time ------------------------------------------------------------------------------------------------------------------------------------ */

static u64 span_of(u8 kind)
{
	return kind == L4_TCP ? NAT_TCP_SPAN : kind == L4_UDP ? NAT_UDP_SPAN : NAT_ECHO_SPAN;
}

static u64 end_of(const struct nat_session *s)
{
	u64 last = MAX(s->last_out, s->last_in);
	u64 at = time_add(last, span_of(s->inside.kind));

	if (!(s->flags & CONFIRMED))
		at = time_min(at, time_add(s->last_out, NAT_UNCONFIRMED_SPAN));
	if ((s->flags & OUT_FIN) && (s->flags & IN_FIN))
		at = time_min(at, time_add(last, NAT_CLOSED_SPAN));
	return s->flags & ANY_RST ? last : at;
}

void nat_tick(struct nat *t, u64 now)
{
	struct heap_node *node;

	while ((node = heap_pop_due(&t->due, now))) {
		struct nat_session *s = container_of(node, struct nat_session, due);
		u64 at = end_of(s);
		if (at <= now)
			end(t, s);
		else
			(void)heap_arm(&t->due, node, at); /* its place was just left */
	}
}

/* Only what brings the end nearer is told to the heap; the rest it finds out when it looks. */
static void note(struct nat *t, struct nat_session *s, const struct packet *p, u8 fin)
{
	u8 before = s->flags;

	if (p->kind != L4_TCP || !(p->tcp_flags & (TCP_FIN | TCP_RST | TCP_SYN)))
		return;
	if (fin == OUT_FIN && (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		s->flags &= CONFIRMED; /* a port used again at once: what ended was another connection */
	if (p->tcp_flags & TCP_FIN)
		s->flags |= fin;
	if (p->tcp_flags & TCP_RST)
		s->flags |= ANY_RST;
	if (s->flags != before)
		(void)heap_arm(&t->due, &s->due, end_of(s));
}

/* --- sessions -------------------------------------------------------------------------------------------------------------------------------- */

static bool has_ports(enum l4_kind kind)
{
	return kind == L4_TCP || kind == L4_UDP || kind == L4_ECHO;
}

static struct nat_key key_of(enum l4_kind kind, u16 port, const struct ip *ip)
{
	struct nat_key k = { .family = ip->family, .kind = (u8)kind, .port = port };
	memcpy(k.ip, ip->b, sizeof(k.ip));
	return k;
}

static struct ip ip_of_key(const struct nat_key *k)
{
	return ip_from_bytes(k->family, k->ip);
}

static bool is_key(const struct nat_key *a, const struct nat_key *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static u16 complement_sum(const u8 *from, const u8 *to, size_t n)
{
	return (u16)~csum_update(0xffff, from, to, n);
}

static struct delta delta_of(const struct nat_key *in, const struct nat_key *out)
{
	u8 from[2], to[2];
	put_be16(from, in->port);
	put_be16(to, out->port);
	return (struct delta){ complement_sum(in->ip, out->ip, in->family == 4 ? 4 : 16), complement_sum(from, to, 2) };
}

/* Whether nobody lives at `key`; an expired session there gives way. */
static bool is_free(struct nat *t, const struct nat_key *key)
{
	struct nat_session *s = table_get(&t->outside, key);
	if (!s)
		return true;
	if (!s->is_expired)
		return false;
	forget(t, s);
	return true;
}

/* The original port upward, on from 1 behind the last (spec 40 §9.5). Of all ports a client's sessions take a third at most. */
static bool choose_port(struct nat *t, struct nat_key *outside)
{
	u32 port = outside->port;

	for (unsigned i = 0; i < NAT_PROBES_NEAR + NAT_PROBES_FAR; i++) {
		outside->port = (u16)port;
		if (is_free(t, outside))
			return true;
		port += i + 1 < NAT_PROBES_NEAR ? 1 : FAR_STEP;
		if (port > 65535)
			port -= 65535;
	}
	return false;
}

void nat_yield(struct nat *t, const struct packet *p)
{
	if (!has_ports(p->kind) || (p->kind == L4_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK)) != TCP_SYN))
		return;
	struct nat_key key = key_of(p->kind, p->src_port, &p->dst);
	struct nat_session *s = table_get(&t->outside, &key);
	if (s && !s->is_expired && ((s->flags & ANY_RST) || ((s->flags & OUT_FIN) && (s->flags & IN_FIN)))) {
		heap_disarm(&t->due, &s->due);
		end(t, s);
	}
	if (s && s->is_expired)
		forget(t, s);
}

static struct nat_session *open_session(struct nat *t, u64 now, const struct nat_key *inside, const struct ip *real)
{
	struct nat_key outside = key_of((enum l4_kind)inside->kind, inside->port, real);

	if (t->n_live == NAT_SESSIONS_MAX) {
		t->stats.refused_full++;
		return NULL;
	}
	if (!choose_port(t, &outside)) {
		t->stats.refused_no_port++;
		return NULL;
	}
	struct nat_session *s = malloc(sizeof(*s));
	if (!s)
		return NULL;
	*s = (struct nat_session){ .inside = *inside, .outside = outside, .last_out = now, .delta = delta_of(inside, &outside) };
	if (table_put(&t->inside, inside, s))
		goto no_memory;
	if (table_put(&t->outside, &outside, s))
		goto no_outside;
	if (heap_arm(&t->due, &s->due, end_of(s)))
		goto no_heap;
	t->n_live++;
	t->stats.opened++;
	return s;
no_heap:
	(void)table_del(&t->outside, &outside);
no_outside:
	(void)table_del(&t->inside, inside);
no_memory:
	free(s);
	return NULL;
}

/* --- rewriting ------------------------------------------------------------------------------------------------------------------------------ */

/* RFC 1624, equation 3. */
static u16 patched(u16 check, u32 delta)
{
	u32 sum = (u32)(u16)~check + delta;
	sum = (sum >> 16) + (sum & 0xffffu);
	sum = (sum >> 16) + (sum & 0xffffu);
	return (u16)~sum;
}

static void patch_l4(u8 *data, const struct packet *p, struct delta d, bool is_partial)
{
	u8 *at = data + p->l4 + (p->kind == L4_TCP ? 16 : p->kind == L4_UDP ? 6 : 2);
	bool has_pseudo = p->kind != L4_ECHO || p->src.family == 6;
	u16 check = get_be16(at);

	if (is_partial) { /* a plain sum of the pseudo header; the ports are summed up later */
		put_be16(at, (u16)~patched((u16)~check, has_pseudo ? d.ip : 0));
		return;
	}
	if (p->kind == L4_UDP && check == 0)
		return;
	check = patched(check, (u32)d.port + (has_pseudo ? d.ip : 0u));
	put_be16(at, p->kind == L4_UDP && check == 0 ? 0xffff : check);
}

static void rewrite(u8 *data, const struct packet *p, size_t ip_at, const struct nat_key *to, u32 port_at, struct delta d, bool is_partial)
{
	memcpy(data + ip_at, to->ip, to->family == 4 ? 4 : 16);
	put_be16(data + p->l4 + port_at, to->port);
	if (to->family == 4)
		put_be16(data + 10, patched(get_be16(data + 10), d.ip));
	patch_l4(data, p, d, is_partial);
}

enum nat_result nat_outbound(struct nat *t, u64 now, const struct ip *real, u8 *data, struct packet *p)
{
	if (!has_ports(p->kind))
		return NAT_REFUSED;
	struct nat_key key = key_of(p->kind, p->src_port, &p->dst);
	struct nat_session *s = t->recent && is_key(&t->recent->inside, &key) ? t->recent : table_get(&t->inside, &key);

	if (s) {
		s->last_out = now;
		note(t, s, p, OUT_FIN);
	} else {
		if (!real)
			return NAT_NONE;
		if (real->family != p->dst.family || !(s = open_session(t, now, &key, real)))
			return NAT_REFUSED;
	}
	t->recent = s;
	rewrite(data, p, p->dst.family == 4 ? 16 : 24, &s->outside, p->kind == L4_ECHO ? 4 : 0, s->delta, false);
	p->dst = ip_of_key(&s->outside);
	p->src_port = s->outside.port;
	if (p->kind == L4_ECHO)
		p->dst_port = p->src_port;
	return NAT_DONE;
}

static enum nat_result find_outside(struct nat *t, u64 now, const struct nat_key *key, struct nat_session **out)
{
	struct nat_session *s = t->recent && is_key(&t->recent->outside, key) ? t->recent : table_get(&t->outside, key);

	*out = s;
	if (!s)
		return NAT_NONE;
	if (s->is_expired) {
		t->stats.late++;
		unlink_expired(t, s);
		link_expired(t, s);
		return NAT_EXPIRED;
	}
	s->last_in = now;
	s->flags |= CONFIRMED;
	t->recent = s;
	return NAT_DONE;
}

enum nat_result nat_inbound(struct nat *t, u64 now, u8 *data, struct packet *p, bool is_partial)
{
	struct nat_session *s;

	if (!has_ports(p->kind))
		return NAT_NONE;
	struct nat_key key = key_of(p->kind, p->dst_port, &p->src);
	enum nat_result rc = find_outside(t, now, &key, &s);
	if (rc != NAT_DONE)
		return rc;
	note(t, s, p, IN_FIN);
	struct delta back = { (u16)~s->delta.ip, (u16)~s->delta.port };
	rewrite(data, p, p->src.family == 4 ? 12 : 8, &s->inside, p->kind == L4_ECHO ? 4 : 2, back, is_partial);
	p->src = ip_of_key(&s->inside);
	p->dst_port = s->inside.port;
	if (p->kind == L4_ECHO)
		p->src_port = p->dst_port;
	return NAT_DONE;
}

enum nat_result nat_inbound_error(struct nat *t, u64 now, const u8 *data, const struct packet *p, u8 out[static TUNNEL_MTU], u32 *len)
{
	struct nat_session *s;
	struct packet quoted;

	if (packet_parse_quoted(data, p, &quoted) || !has_ports(quoted.kind) || quoted.dst.family != p->src.family)
		return NAT_NONE;
	struct nat_key key = key_of(quoted.kind, quoted.src_port, &quoted.dst);
	enum nat_result rc = find_outside(t, now, &key, &s);
	if (rc != NAT_DONE)
		return rc;
	struct ip proxy = ip_of_key(&s->inside);
	*len = icmp_translate(data, p, &quoted, &proxy, s->inside.port, out);
	return NAT_DONE;
}
