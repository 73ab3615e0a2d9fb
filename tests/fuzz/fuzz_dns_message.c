/* DNS messages, as queries and as responses: what is accepted is walked to its end, cut, answered and written down again, and each
 * product is read back as what it should be. */
#include "core/dns/message.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void name_is_sound(const struct dns_name *n)
{
	char text[DNS_NAME_STRLEN];
	struct dns_name back, folded = *n;
	struct ip ip;

	must(n->len >= 1 && n->wire[n->len - 1] == 0 && dns_name_labels(n) <= DNS_LABELS_MAX);
	must(strlen(dns_name_text(n, text)) < DNS_NAME_STRLEN);
	must(dns_name_from_text(text, &back) == 0 && back.len == n->len && memcmp(back.wire, n->wire, n->len) == 0);
	dns_name_fold(&folded);
	must(dns_name_eq(&folded, n) && dns_name_is_under(n, &folded));
	if (dns_name_reverse(n, &ip)) {
		dns_name_of_ip(&ip, &back);
		must(dns_name_eq(&back, n));
	}
}

static void try_query(struct span m)
{
	static u8 out[DNS_MESSAGE_MAX];
	struct dns_query q, own;
	struct dns_response r;
	struct ip ip = ip4(100, 96, 0, 1);

	if (dns_query_parse(m, &q) != 0)
		return;
	must(q.question_end <= q.end && q.end <= m.n && q.udp_size >= DNS_UDP_MIN);
	name_is_sound(&q.q.name);
	struct wr w = wr_init(out, sizeof(out));
	dns_answer_begin(&w, m, &q, DNS_NOERROR);
	dns_answer_ip(&w, 1, &ip);
	dns_answer_name(&w, DNS_PTR, 1, &q.q.name);
	must(wr_ok(&w) && dns_response_parse(wr_span(&w), &r) == 0);
	must(r.id == q.id && dns_response_matches(&r, &q.q) && r.n_answers == 2 && r.end == wr_len(&w) && r.question_end == q.question_end);
	w = wr_init(out, sizeof(out));
	dns_query_write(&w, q.id, &q.q, q.has_edns ? q.udp_size : 0);
	must(wr_ok(&w) && dns_query_parse(wr_span(&w), &own) == 0);
	must(own.has_edns == q.has_edns && own.udp_size == q.udp_size && dns_name_eq(&own.q.name, &q.q.name) && own.q.type == q.q.type);
}

static void try_response(struct span m)
{
	static u8 out[DNS_MESSAGE_MAX];
	struct dns_response r, cut;
	struct dns_record rec;
	struct dns_name name;
	struct ip ip;
	u32 n = 0, last = 0, secs;

	if (dns_response_parse(m, &r) != 0)
		return;
	must(r.question_end <= r.end && r.end <= m.n);
	if (r.q.name.len > 0)
		name_is_sound(&r.q.name);
	struct dns_walk walk = dns_walk(m, &r);
	for (; dns_walk_next(&walk, &rec); n++) {
		must(rec.ttl_offset > last && rec.ttl_offset + 6 + rec.rdata.n <= r.end && get_be32(m.p + rec.ttl_offset) == rec.ttl);
		last = rec.ttl_offset;
		if (n < 8)
			name_is_sound(&rec.name);
		if (dns_record_name(&rec, m, &name) == 0 && n < 8)
			name_is_sound(&name);
		if (dns_record_ip(&rec, &ip) == 0)
			must(ip_len(&ip) == rec.rdata.n);
		(void)!dns_record_soa_minimum(&rec, m, &secs);
	}
	must(n == (u32)r.n_answers + r.n_authority + r.n_additional && n <= DNS_RECORDS_MAX);
	struct wr w = wr_init(out, sizeof(out));
	dns_truncate(&w, m, &r);
	must(wr_ok(&w) && dns_response_parse(wr_span(&w), &cut) == 0);
	must(cut.end == r.question_end && (cut.flags & DNS_FLAG_TC) && cut.n_answers + cut.n_authority + cut.n_additional == 0);
	must(r.q.name.len == 0 || dns_response_matches(&cut, &r.q));
}

static void try_text(const uint8_t *data, size_t n)
{
	char text[1100], again[DNS_NAME_STRLEN];
	struct dns_name name;

	n = MIN(n, sizeof(text) - 1);
	memcpy(text, data, n);
	text[n] = 0;
	if (dns_name_from_text(text, &name) == 0) {
		name_is_sound(&name);
		dns_name_text(&name, again);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_query(SPAN(data, size));
	try_response(SPAN(data, size));
	if (size > 0)
		try_text(data, size);
	return 0;
}
