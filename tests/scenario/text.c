#include "tests/scenario/text.h"
#include "tests/unit/inner.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *text_error = "";

static bool fails(const char *why)
{
	text_error = why;
	return false;
}

/* --- words ---------------------------------------------------------------------------------------------------------------------------- */

bool words_split(char *line, struct words *out)
{
	*out = (struct words){ .n = 0 };
	for (char *save, *word = strtok_r(line, " \t\r\n", &save); word && word[0] != '#'; word = strtok_r(NULL, " \t\r\n", &save)) {
		if (out->n == TEXT_WORDS)
			return fails("too many words");
		out->w[out->n++] = word;
	}
	return true;
}

const char *words_next(struct words *w)
{
	return w->at < w->n ? w->w[w->at++] : NULL;
}

bool words_take(struct words *w, const char *word)
{
	if (w->at == w->n || strcmp(w->w[w->at], word) != 0)
		return false;
	w->at++;
	return true;
}

static bool number_parse(const char *word, u32 max, u32 *out)
{
	char *end;
	if (!word || word[0] < '0' || word[0] > '9')
		return fails("a number is missing");
	unsigned long long v = strtoull(word, &end, 10);
	*out = (u32)v;
	return *end || v > max ? fails("not a number, or too large") : true;
}

bool words_number(struct words *w, u32 max, u32 *out)
{
	return number_parse(words_next(w), max, out);
}

static bool ip_from(const char *word, struct ip *out)
{
	return word && ip_parse(SPAN(word, strlen(word)), out) == 0 ? true : fails("not an address");
}

bool words_ip(struct words *w, struct ip *out)
{
	return ip_from(words_next(w), out);
}

bool text_matches(const char *pattern, const char *text)
{
	const char *star = NULL, *from = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			from = text;
		} else if (*pattern == *text) {
			pattern++, text++;
		} else if (star) {
			pattern = star;
			text = ++from;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

void text_add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(t->s + t->n, sizeof(t->s) - t->n, fmt, ap);
	va_end(ap);
	t->n = MIN(t->n + (size_t)MAX(n, 0), sizeof(t->s) - 1);
}

/* --- names of numbers ------------------------------------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	u16 number;
} types[] = { { "A", DNS_A },     { "NS", DNS_NS },     { "CNAME", DNS_CNAME }, { "SOA", DNS_SOA }, { "PTR", DNS_PTR },     { "MX", DNS_MX },
	      { "TXT", DNS_TXT }, { "AAAA", DNS_AAAA }, { "SRV", DNS_SRV },     { "OPT", DNS_OPT }, { "SVCB", DNS_SVCB },   { "CAA", 257 },
	      { "HTTPS", DNS_HTTPS }, { "ANY", DNS_ANY } };
static const char *const rcodes[] = { "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED" };
static const struct {
	const char *name;
	u16 bit;
} flags_of[] = { { "qr", DNS_FLAG_QR }, { "aa", DNS_FLAG_AA }, { "tc", DNS_FLAG_TC }, { "rd", DNS_FLAG_RD },
		 { "ra", DNS_FLAG_RA }, { "ad", DNS_FLAG_AD }, { "cd", DNS_FLAG_CD } };

const char *text_type(u16 type)
{
	static char other[16];
	for (unsigned i = 0; i < ARRAY_LEN(types); i++)
		if (types[i].number == type)
			return types[i].name;
	snprintf(other, sizeof(other), "TYPE%u", type);
	return other;
}

bool text_type_parse(const char *word, u16 *out)
{
	u32 n;
	for (unsigned i = 0; word && i < ARRAY_LEN(types); i++)
		if (strcmp(types[i].name, word) == 0) {
			*out = types[i].number;
			return true;
		}
	if (!word || strncmp(word, "TYPE", 4) != 0 || !number_parse(word + 4, 65535, &n))
		return fails("not a record type");
	*out = (u16)n;
	return true;
}

static bool flags_parse(const char *word, u16 *out)
{
	char copy[64], *save;
	*out = 0;
	if (!word || strlen(word) >= sizeof(copy))
		return fails("flags are missing");
	if (strcmp(word, "-") == 0)
		return true;
	memcpy(copy, word, strlen(word) + 1);
	for (char *one = strtok_r(copy, ",", &save); one; one = strtok_r(NULL, ",", &save)) {
		unsigned i = 0;
		while (i < ARRAY_LEN(flags_of) && strcmp(flags_of[i].name, one) != 0)
			i++;
		if (i == ARRAY_LEN(flags_of))
			return fails("no such flag");
		*out |= flags_of[i].bit;
	}
	return true;
}

static void flags_add(struct text *t, u16 flags)
{
	const char *between = "";
	size_t before = t->n;
	for (unsigned i = 0; i < ARRAY_LEN(flags_of); i++)
		if (flags & flags_of[i].bit) {
			text_add(t, "%s%s", between, flags_of[i].name);
			between = ",";
		}
	if (t->n == before)
		text_add(t, "-");
	if (DNS_OPCODE(flags))
		text_add(t, " opcode %u", DNS_OPCODE(flags));
}

bool text_name_parse(const char *word, struct dns_name *out)
{
	return word && dns_name_from_text(word, out) == 0 ? true : fails("not a name");
}

/* --- messages as text ------------------------------------------------------------------------------------------------------------------ */

static void question_add(struct text *t, const struct dns_question *q)
{
	char name[DNS_NAME_STRLEN];
	text_add(t, " %s %s", text_type(q->type), dns_name_text(&q->name, name));
	if (q->class != DNS_CLASS_IN)
		text_add(t, " class %u", q->class);
}

void text_of_query(struct text *t, struct span message)
{
	struct dns_query q;

	if (dns_query_parse(message, &q)) {
		text_add(t, "(no query)");
		return;
	}
	flags_add(t, q.flags);
	question_add(t, &q.q);
	if (q.has_edns)
		text_add(t, " edns %u", q.udp_size);
}

static void rdata_add(struct text *t, struct span message, const struct dns_record *r)
{
	char name[DNS_NAME_STRLEN], addr[IP_STRLEN];
	struct dns_name target;
	struct ip ip;

	if ((r->type == DNS_A || r->type == DNS_AAAA) && dns_record_ip(r, &ip) == 0) {
		text_add(t, "%s", ip_format(&ip, addr));
	} else if ((r->type == DNS_CNAME || r->type == DNS_PTR || r->type == DNS_NS) && dns_record_name(r, message, &target) == 0) {
		text_add(t, "%s", dns_name_text(&target, name));
	} else if (r->type == DNS_TXT && r->rdata.n > 0 && r->rdata.p[0] == r->rdata.n - 1) {
		text_add(t, "%.*s", (int)(r->rdata.n - 1), (const char *)r->rdata.p + 1);
	} else if ((r->type == DNS_SRV && r->rdata.n > 6) || (r->type == DNS_MX && r->rdata.n > 2)) {
		u32 head = r->type == DNS_SRV ? 6 : 2;
		struct rd rd = rd_init(message.p, message.n);
		rd_skip(&rd, (size_t)(r->rdata.p - message.p) + head);
		for (u32 i = 0; i < head; i += 2)
			text_add(t, "%u ", get_be16(r->rdata.p + i));
		text_add(t, "%s", dns_name_read(&rd, message, &target) == 0 ? dns_name_text(&target, name) : "(bad)");
	} else {
		text_add(t, "%zu octets", r->rdata.n);
	}
}

void text_of_answer(struct text *t, struct span message)
{
	static const char *const sections[] = { "", "authority ", "additional " };
	char name[DNS_NAME_STRLEN];
	struct dns_response r;
	struct dns_record rec;

	if (dns_response_parse(message, &r)) {
		text_add(t, "(no answer)");
		return;
	}
	text_add(t, "%u %s ", r.id, r.rcode < ARRAY_LEN(rcodes) ? rcodes[r.rcode] : "(other code)");
	flags_add(t, r.flags);
	question_add(t, &r.q);
	if (r.n_answers > TEXT_RECORDS_SHOWN) {
		text_add(t, " | %u records", r.n_answers);
		return;
	}
	for (struct dns_walk w = dns_walk(message, &r); dns_walk_next(&w, &rec);) {
		bool is_same = dns_name_eq(&rec.name, &r.q.name);
		if (rec.type == DNS_OPT) {
			text_add(t, " | edns %u", rec.class);
			continue;
		}
		text_add(t, " | %s%s %u %s ", sections[rec.section], is_same ? "@" : dns_name_text(&rec.name, name), rec.ttl, text_type(rec.type));
		if (rec.class != DNS_CLASS_IN)
			text_add(t, "class %u ", rec.class);
		rdata_add(t, message, &rec);
	}
}

/* --- messages from text ---------------------------------------------------------------------------------------------------------------- */

bool text_query_make(struct words *w, u16 default_id, struct text_query *out)
{
	u32 id = default_id, class = DNS_CLASS_IN, opcode = 0, edns = 0, questions = 1;
	u16 flags = DNS_FLAG_RD;

	if (!text_type_parse(words_next(w), &out->type) || !text_name_parse(words_next(w), &out->name))
		return false;
	for (bool has_more = true; has_more;) {
		const struct {
			const char *word;
			u32 max, *to;
		} numbers[] = { { "id", 65535, &id },	     { "edns", 65535, &edns },	     { "class", 65535, &class },
				{ "opcode", 15, &opcode }, { "questions", 2, &questions } };
		has_more = words_take(w, "flags");
		if (has_more && !flags_parse(words_next(w), &flags))
			return false;
		for (unsigned i = 0; i < ARRAY_LEN(numbers); i++)
			if (words_take(w, numbers[i].word)) {
				has_more = true;
				if (!words_number(w, numbers[i].max, numbers[i].to))
					return false;
			}
	}
	struct wr m = wr_init(out->message, sizeof(out->message));
	wr_be16(&m, (u16)id);
	wr_be16(&m, (u16)(flags | opcode << 11));
	wr_be16(&m, (u16)questions);
	wr_zero(&m, 6);
	for (u32 i = 0; i < questions; i++) {
		wr_bytes(&m, out->name.wire, out->name.len);
		wr_be16(&m, out->type);
		wr_be16(&m, (u16)class);
	}
	if (edns)
		dns_opt_write(&m, (u16)edns, false);
	out->id = (u16)id;
	out->len = (u32)wr_len(&m);
	return wr_ok(&m) ? true : fails("too long");
}

static void record_put(struct wr *m, unsigned section, const struct dns_name *owner, u16 type, u32 ttl, struct span rdata)
{
	unsigned at = 6 + 2 * section;
	wr_bytes(m, owner->wire, owner->len);
	wr_be16(m, type);
	wr_be16(m, DNS_CLASS_IN);
	wr_be32(m, ttl);
	wr_be16(m, (u16)rdata.n);
	wr_bytes(m, rdata.p, rdata.n);
	if (wr_ok(m))
		put_be16(m->start + at, (u16)(get_be16(m->start + at) + 1));
}

bool text_rdata_make(struct words *w, u16 type, struct wr *d)
{
	struct dns_name target;
	struct ip ip;
	u32 n;

	if (type == DNS_A || type == DNS_AAAA) {
		if (!words_ip(w, &ip) || ip.family != (type == DNS_A ? 4 : 6))
			return fails("not an address of that family");
		wr_bytes(d, ip.b, type == DNS_A ? 4 : 16);
	} else if (type == DNS_TXT) {
		const char *word = words_next(w);
		if (!word || strlen(word) > 255)
			return fails("a text is missing");
		wr_u8(d, (u8)strlen(word));
		wr_str(d, word);
	} else if (type == DNS_CNAME || type == DNS_PTR || type == DNS_NS || type == DNS_SRV || type == DNS_MX) {
		for (unsigned i = type == DNS_SRV ? 3 : type == DNS_MX ? 1 : 0; i > 0; i--) {
			if (!words_number(w, 65535, &n))
				return false;
			wr_be16(d, (u16)n);
		}
		if (!text_name_parse(words_next(w), &target))
			return false;
		wr_bytes(d, target.wire, target.len);
	} else if (type == DNS_SOA) {
		if (!words_number(w, UINT32_MAX, &n))
			return false;
		wr_bytes(d, "\2ns\0\2hm\0", 8);
		for (u32 i = 1; i <= 4; i++)
			wr_be32(d, i);
		wr_be32(d, n);
	} else {
		return fails("records of this type cannot be written in stories");
	}
	return true;
}

static bool record_make(struct words *w, const struct dns_name *question, struct wr *m)
{
	unsigned section = words_take(w, "authority") ? 1 : words_take(w, "additional") ? 2 : 0;
	struct dns_name owner = *question;
	u8 data[600];
	struct wr d = wr_init(data, sizeof(data));
	u32 ttl;
	u16 type;

	if (!words_take(w, "@") && !text_name_parse(words_next(w), &owner))
		return false;
	if (!words_number(w, UINT32_MAX, &ttl) || !text_type_parse(words_next(w), &type) || !text_rdata_make(w, type, &d))
		return false;
	record_put(m, section, &owner, type, ttl, wr_span(&d));
	return true;
}

static bool rcode_parse(const char *word, unsigned *out)
{
	for (unsigned i = 0; word && i < ARRAY_LEN(rcodes); i++)
		if (strcmp(rcodes[i], word) == 0) {
			*out = i;
			return true;
		}
	return fails("not a response code");
}

bool text_answer_make(struct words *w, struct span query, struct text_answer *out)
{
	u16 flags = DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA;
	u32 filler = 0, ttl = 0;
	bool has_wrong_id = false, is_garbage = false;
	unsigned rcode;
	struct dns_query q;

	out->from.family = 0;
	if (dns_query_parse(query, &q))
		return fails("there is no query to answer");
	if (!rcode_parse(words_next(w), &rcode))
		return false;
	while (w->at < w->n && strcmp(w->w[w->at], "|") != 0) {
		if (words_take(w, "aa"))
			flags |= DNS_FLAG_AA;
		else if (words_take(w, "tc"))
			flags |= DNS_FLAG_TC;
		else if (words_take(w, "ad"))
			flags |= DNS_FLAG_AD;
		else if (words_take(w, "garbage"))
			is_garbage = true;
		else if (words_take(w, "id"))
			has_wrong_id = words_take(w, "wrong") ? true : fails("id can only be wrong");
		else if (words_take(w, "question")) {
			if (!text_type_parse(words_next(w), &q.q.type) || !text_name_parse(words_next(w), &q.q.name))
				return false;
		} else if (words_take(w, "from")) {
			if (!words_ip(w, &out->from))
				return false;
		} else if (words_take(w, "filler")) {
			if (!words_number(w, 5000, &filler) || !words_number(w, UINT32_MAX, &ttl))
				return false;
		} else {
			return fails("unknown word in an answer");
		}
	}
	struct wr m = wr_init(out->message, sizeof(out->message));
	wr_be16(&m, (u16)(q.id ^ (has_wrong_id ? 0x5555 : 0)));
	wr_be16(&m, (u16)(flags | rcode));
	wr_be16(&m, 1);
	wr_zero(&m, 6);
	wr_bytes(&m, q.q.name.wire, q.q.name.len);
	wr_be16(&m, q.q.type);
	wr_be16(&m, q.q.class);
	for (u32 i = 0; i < filler; i++) {
		u8 ip[4] = { 10, 1, (u8)(i >> 8), (u8)i };
		record_put(&m, 0, &q.q.name, DNS_A, ttl, SPAN(ip, 4));
	}
	while (words_take(w, "|"))
		if (!record_make(w, &q.q.name, &m))
			return false;
	out->len = is_garbage ? 7 : (u32)wr_len(&m);
	if (w->at != w->n)
		return fails("a | is missing, or a word too much");
	return wr_ok(&m) ? true : fails("too long");
}

/* --- packets --------------------------------------------------------------------------------------------------------------------------- */

static void end_add(struct text *t, const struct packet *p, bool is_source)
{
	char buf[ENDPOINT_STRLEN];
	struct endpoint ep = is_source ? (struct endpoint){ p->src, p->src_port } : (struct endpoint){ p->dst, p->dst_port };
	bool has_port = p->kind == L4_TCP || p->kind == L4_UDP;
	text_add(t, "%s", has_port ? endpoint_format(&ep, buf) : ip_format(&ep.ip, buf));
}

static void brief_add(struct text *t, const struct packet *p)
{
	static const char *const kinds[] = { "proto", "tcp", "udp", "echo", "icmp", "icmp" };
	text_add(t, "%s ", kinds[p->kind]);
	if (p->kind == L4_OTHER)
		text_add(t, "%u ", p->proto);
	if (p->kind == L4_ICMP_ERROR || p->kind == L4_ICMP_OTHER)
		text_add(t, "%u/%u ", p->icmp_type, p->icmp_code);
	end_add(t, p, true);
	text_add(t, " > ");
	end_add(t, p, false);
	if (p->kind == L4_ECHO)
		text_add(t, " id %u", p->src_port);
}

void text_of_packet(struct text *t, const u8 *data, u32 len)
{
	struct packet p, quoted;

	if (packet_parse(data, len, TUNNEL_MTU, &p)) {
		text_add(t, "(no packet)");
		return;
	}
	brief_add(t, &p);
	if (p.kind == L4_ICMP_ERROR && packet_parse_quoted(data, &p, &quoted) == 0) {
		text_add(t, " about ");
		brief_add(t, &quoted);
	}
	if (!inner_checksums_are_right(data, len))
		text_add(t, " (wrong checksum)");
}

/* ADDRESS, ADDRESS:PORT or PORT. */
static bool end_parse(const char *word, bool has_port, struct endpoint *out)
{
	u32 port;
	*out = (struct endpoint){ .port = 0 };
	if (!word)
		return fails("an address is missing");
	if (!has_port)
		return ip_from(word, &out->ip);
	if (strchr(word, ':') || strchr(word, '.'))
		return endpoint_parse(SPAN(word, strlen(word)), out) == 0 ? true : fails("not ADDRESS:PORT");
	if (!number_parse(word, 65535, &port))
		return false;
	out->port = (u16)port;
	return true;
}

static bool spec_read(struct words *w, const struct ip own[2], struct inner_spec *s, bool *is_error);

/* `icmp TYPE/CODE`: the quote follows behind `about`. */
static bool icmp_read(struct words *w, struct inner_spec *s)
{
	u32 type, code;
	char copy[16];
	const char *word = words_next(w);
	char *slash = word && strlen(word) < sizeof(copy) ? strchr(memcpy(copy, word, strlen(word) + 1), '/') : NULL;
	if (!slash)
		return fails("icmp TYPE/CODE");
	*slash = 0;
	if (!number_parse(copy, 255, &type) || !number_parse(slash + 1, 255, &code))
		return false;
	s->sport = (u16)(type << 8 | code);
	return true;
}

static bool spec_read(struct words *w, const struct ip own[2], struct inner_spec *s, bool *is_error)
{
	struct endpoint from = { .port = 0 }, to;
	bool is_echo = words_take(w, "echo"), is_reply = false, has_port = false;
	u32 n = 0;

	*s = (struct inner_spec){ .payload_len = 20, .window = 65535 };
	*is_error = false;
	if (is_echo) {
		is_reply = words_take(w, "reply");
	} else if (words_take(w, "udp")) {
		s->proto = 17;
		has_port = true;
	} else if (words_take(w, "tcp")) {
		s->proto = 6;
		has_port = true;
	} else if (words_take(w, "icmp")) {
		*is_error = true;
		if (!icmp_read(w, s))
			return false;
	} else if (words_take(w, "proto")) {
		if (!words_number(w, 255, &n))
			return false;
		s->proto = (u8)n;
	} else {
		return fails("a packet begins with udp, tcp, echo, icmp or proto");
	}
	if (!words_take(w, ">")) {
		if (!end_parse(words_next(w), has_port, &from))
			return false;
		if (!words_take(w, ">"))
			return fails("a > is missing");
	}
	if (!end_parse(words_next(w), has_port, &to))
		return false;
	if (!to.ip.family)
		return fails("a destination has an address");
	if (!from.ip.family)
		from.ip = own[to.ip.family == 6];
	if (from.ip.family != to.ip.family)
		return fails("two families in one packet");
	s->src = from.ip;
	s->dst = to.ip;
	if (has_port) {
		s->sport = from.port;
		s->dport = to.port;
	}
	if (is_echo) {
		bool is_v4 = to.ip.family == 4;
		s->proto = is_v4 ? 1 : 58;
		s->sport = (u16)((is_v4 ? (is_reply ? 0 : 8) : (is_reply ? 129 : 128)) << 8);
		n = 1;
		if (words_take(w, "id") && !words_number(w, 65535, &n))
			return false;
		s->dport = (u16)n;
	}
	if (*is_error)
		s->proto = to.ip.family == 4 ? 1 : 58;
	for (bool has_more = s->proto == 6; has_more;) {
		static const struct {
			const char *name;
			u8 bit;
		} bits[] = { { "syn", TCP_SYN }, { "ack", TCP_ACK }, { "fin", TCP_FIN }, { "rst", TCP_RST } };
		has_more = false;
		for (unsigned i = 0; i < ARRAY_LEN(bits); i++)
			if (words_take(w, bits[i].name)) {
				s->tcp_flags |= bits[i].bit;
				has_more = true;
			}
	}
	if (s->proto == 6 && !s->tcp_flags)
		s->tcp_flags = TCP_ACK;
	return true;
}

bool text_packet_make(struct words *w, const struct ip own[2], u8 out[static TUNNEL_MTU], u32 *len)
{
	u8 quote[TUNNEL_MTU];
	struct inner_spec s, quoted;
	bool is_error, is_error_too;

	if (!spec_read(w, own, &s, &is_error))
		return false;
	if (is_error) {
		u32 n, keep = 1000;
		if (!words_take(w, "about") || !spec_read(w, own, &quoted, &is_error_too) || is_error_too)
			return fails("an ICMP error is about a packet");
		if (words_take(w, "cut") && !words_number(w, 1000, &keep))
			return false;
		n = inner_make(&quoted, quote);
		s.payload = quote;
		s.payload_len = (u16)MIN(n, keep);
	}
	if (words_take(w, "len")) {
		u32 n;
		if (!words_number(w, 1200, &n))
			return false;
		s.payload_len = (u16)n;
	}
	*len = inner_make(&s, out);
	return w->at == w->n ? true : fails("unknown word behind a packet");
}
