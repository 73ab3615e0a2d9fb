#include "core/ice/candidate.h"

#include <stdio.h>

static const char *const kind_names[] = { "host", "prflx", "srflx", "relay" };
static const u8 kind_types[] = { 126, 110, 100, 2 };
static const u16 kind_starts[] = { 65535, 49151, 32767, 16383 };

#define CROSS_FAMILY_PENALTY 1000u /* keeps relayed traffic in one IP family (spec 20 §5.5) */

static u32 priority(enum candidate_kind kind, u32 local_pref)
{
	return (u32)kind_types[kind] << 24 | local_pref << 8 | 255;
}

u32 candidate_priority(const struct candidate *c, unsigned n)
{
	u32 off = (c->addr.ip.family == 4 ? 1u : 0u) + 2 * n;
	if (c->kind == CANDIDATE_RELAY && c->via_family != 0 && c->via_family != c->addr.ip.family)
		off += CROSS_FAMILY_PENALTY;
	u32 start = kind_starts[c->kind];
	return priority(c->kind, off < start ? start - off : 0);
}

u32 candidate_prflx_priority(u32 prio)
{
	return (u32)kind_types[CANDIDATE_PRFLX] << 24 | (prio & 0xFFFFFFu);
}

struct candidate candidate_unranked(struct candidate c)
{
	c.priority = priority(c.kind, c.addr.ip.family == 4 ? 65534 : 65535);
	return c;
}

static struct endpoint zero_of(u8 family)
{
	return (struct endpoint){ .ip = { .family = family } };
}

struct candidate candidate_host(const struct endpoint *addr)
{
	return (struct candidate){ .kind = CANDIDATE_HOST, .addr = *addr, .base = *addr };
}

struct candidate candidate_srflx(const struct endpoint *addr, const struct endpoint *base)
{
	return (struct candidate){
		.kind = CANDIDATE_SRFLX, .addr = *addr, .base = *base, .raddr = zero_of(addr->ip.family)
	};
}

struct candidate candidate_relay(const struct endpoint *addr, u8 via_family)
{
	return (struct candidate){ .kind = CANDIDATE_RELAY,
				   .addr = *addr,
				   .base = *addr,
				   .raddr = zero_of(addr->ip.family),
				   .via_family = via_family };
}

bool candidate_is_usable(const struct candidate *c)
{
	const struct ip *ip = &c->addr.ip;
	if (ip->family == 0 || c->addr.port == 0 || c->base.ip.family != ip->family)
		return false;
	if (ip_is_unspecified(ip) || ip_is_multicast(ip))
		return false;
	return ip->family != 4 || (!ip_is_link_local(ip) && !ip_is_broadcast(ip));
}

/* --- text -------------------------------------------------------------------------------------------------------------------- */

static bool is_space(u8 c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct span next_word(struct span *rest)
{
	while (rest->n > 0 && is_space(rest->p[0])) {
		rest->p++;
		rest->n--;
	}
	struct span word = { rest->p, 0 };
	while (rest->n > 0 && !is_space(rest->p[0])) {
		rest->p++;
		rest->n--;
		word.n++;
	}
	return word;
}

static bool word_is(struct span w, const char *s)
{
	return w.n == strlen(s) && memcmp(w.p, s, w.n) == 0;
}

static bool word_is_nocase(struct span w, const char *lower)
{
	if (w.n != strlen(lower))
		return false;
	for (size_t i = 0; i < w.n; i++) {
		u8 c = w.p[i] >= 'A' && w.p[i] <= 'Z' ? (u8)(w.p[i] + 32) : w.p[i];
		if (c != (u8)lower[i])
			return false;
	}
	return true;
}

static bool word_number(struct span w, u64 max, u64 *out)
{
	if (w.n == 0 || w.n > 10)
		return false;
	u64 v = 0;
	for (size_t i = 0; i < w.n; i++) {
		if (w.p[i] < '0' || w.p[i] > '9')
			return false;
		v = v * 10 + (w.p[i] - '0');
	}
	*out = v;
	return v <= max;
}

static bool word_protocol(struct span w, bool *is_udp)
{
	*is_udp = word_is_nocase(w, "udp");
	return *is_udp || word_is_nocase(w, "tcp") || word_is_nocase(w, "ssltcp") || word_is_nocase(w, "tls");
}

static bool word_kind(struct span w, enum candidate_kind *kind)
{
	for (unsigned i = 0; i < ARRAY_LEN(kind_names); i++)
		if (word_is(w, kind_names[i])) {
			*kind = (enum candidate_kind)i;
			return true;
		}
	return false;
}

static int parse_extensions(struct span rest, struct candidate_text *out)
{
	struct ip raddr = { .family = 0 };
	u64 rport = 0;
	bool has_rport = false;

	for (;;) {
		struct span key = next_word(&rest);
		if (key.n == 0)
			break;
		struct span value = next_word(&rest);
		if (word_is(key, "raddr")) {
			if (ip_parse(value, &raddr) != 0)
				return ERR_MALFORMED;
		} else if (word_is(key, "rport")) {
			if (!word_number(value, 65535, &rport))
				return ERR_MALFORMED;
			has_rport = true;
		} else if (word_is(key, "tcptype")) {
			if (!word_is(value, "active") && !word_is(value, "passive") && !word_is(value, "so"))
				return ERR_MALFORMED;
		} else if (word_is(key, "ufrag")) {
			if (value.n == 0)
				return ERR_MALFORMED;
			out->ufrag = value;
		}
	}
	if (raddr.family != 0 && has_rport)
		out->c.raddr = (struct endpoint){ raddr, (u16)rport };
	return 0;
}

int candidate_parse(struct span text, struct candidate_text *out)
{
	static const struct span prefix = { (const u8 *)"candidate:", 10 };
	u64 component, prio, port;

	*out = (struct candidate_text){ 0 };
	if (text.n < prefix.n || memcmp(text.p, prefix.p, prefix.n) != 0)
		return ERR_MALFORMED;
	struct span rest = { text.p + prefix.n, text.n - prefix.n };

	if (next_word(&rest).n == 0 || !word_number(next_word(&rest), 65535, &component) ||
	    !word_protocol(next_word(&rest), &out->is_udp) || !word_number(next_word(&rest), UINT32_MAX, &prio) ||
	    ip_parse(next_word(&rest), &out->c.addr.ip) != 0 || !word_number(next_word(&rest), 65535, &port) ||
	    !word_is(next_word(&rest), "typ") || !word_kind(next_word(&rest), &out->c.kind))
		return ERR_MALFORMED;
	out->component = (u16)component;
	out->c.priority = (u32)prio;
	out->c.addr.port = (u16)port;
	out->c.base = out->c.addr;
	return parse_extensions(rest, out);
}

/* Equal for equal kind and base address, as RFC 8445 §5.1.1.3 wants it; opaque to everybody. */
static u32 foundation(const struct candidate *c)
{
	u32 h = 2166136261u ^ (u32)c->kind;
	for (size_t i = 0; i < sizeof(c->base.ip.b); i++)
		h = (h ^ c->base.ip.b[i]) * 16777619u;
	return h;
}

char *candidate_format(const struct candidate *c, const char *ufrag, char buf[static CANDIDATE_STRLEN])
{
	char ip[IP_STRLEN], rip[IP_STRLEN], raddr[80] = "";

	if (c->raddr.ip.family != 0)
		snprintf(raddr, sizeof(raddr), " raddr %s rport %u", ip_format(&c->raddr.ip, rip), c->raddr.port);
	snprintf(buf, CANDIDATE_STRLEN, "candidate:%08x 1 udp %u %s %u typ %s%s%s%.*s", foundation(c), c->priority,
		 ip_format(&c->addr.ip, ip), c->addr.port, kind_names[c->kind], raddr, ufrag ? " ufrag " : "",
		 (int)ICE_UFRAG_MAX, ufrag ? ufrag : "");
	return buf;
}
