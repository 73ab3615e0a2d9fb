/* tests/interop/ldns/dns_ldns.c: our DNS codec (core/dns/name.c, message.c) held against ldns, message by message.
 *
 *	dns_ldns MESSAGES [SEED [SABOTAGE]]
 *
 * Makes messages of every shape, damages most of them, and lets both sides parse each. Both must agree on whether it is one, and on every
 * field, name, record, address, alias and EDNS option field in it; names must also survive the way through our text into ldns and back.
 * Prints `ok` or `not ok` per kind of message, with the message in hex at the first disagreement. SABOTAGE (accept, reject, ttl, name,
 * text, data, edns) makes our side lie now and then, so that the test can prove that it would notice.
 *
 * ldns takes the data of types it knows apart, refuses what does not fit, and goes on where the data ended instead of where its length
 * says. So each message is shown to it twice: whole messages with all types replaced by one it does not know (this decides), and record
 * by record with the true types (this decides about the data that we look into).
 *
 * Differences that are meant, each checked for being just that:
 *   POINTERS  we refuse a compression pointer that leads forward, into the header, into the name that is being read or past where it
 *             stands, or a chain of more than 127; ldns follows any pointer that ends somewhere.
 *   QUESTION  our doors take one question (a response may have none); ldns takes any number.
 *   SIZE      a header alone is a message for us, too short for ldns.
 *   OPT       ldns takes OPT of any owner and the last of many; we the first, of the root.
 */
#include <stdbool.h> /* before ldns.h, which else makes a bool of its own */

#define ERR_STATE openssl_ERR_STATE /* a name of OpenSSL, which ldns.h brings, is ours too */
#include <ldns/ldns.h>
#undef ERR_STATE

#include "core/base/rng.h"
#include "core/dns/message.h"

#include <stdio.h>
#include <stdlib.h>

#define MESSAGE_MAX 4096u
#define TYPE_UNKNOWN 65280u /* private use */
#define NAMES_MAX 48u

static struct rng_seeded rng;
static const char *sabotage = "";

static struct {
	u64 both_accept, both_refuse, pointers, question, size, opt, fields, records, names, typed;
} count;

static u32 below(u32 n)
{
	return (u32)rng_below(&rng.rng, n);
}

static bool is_sabotaged(const char *how)
{
	return strcmp(sabotage, how) == 0 && below(50) == 0;
}

/* --- making messages --- */

struct maker {
	struct wr w;
	u16 names[NAMES_MAX]; /* where a name or the rest of one begins */
	unsigned n_names;
};

static void make_name(struct maker *m, bool may_compress)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	unsigned labels = below(12) == 0 ? below(40) : below(5);

	for (unsigned i = 0; i < labels; i++) {
		if (m->n_names < NAMES_MAX && wr_len(&m->w) < 0x3fff)
			m->names[m->n_names++] = (u16)wr_len(&m->w);
		u8 n = (u8)(below(20) == 0 ? 1 + below(63) : 1 + below(9)), label[63];
		for (unsigned k = 0; k < n; k++)
			label[k] = below(20) == 0 ? (u8)below(256) : (u8)letters[below(sizeof(letters) - 1)];
		wr_u8(&m->w, n);
		wr_bytes(&m->w, label, n);
	}
	if (may_compress && m->n_names > labels && below(3) > 0)
		wr_be16(&m->w, 0xc000 | m->names[below(m->n_names - labels)]);
	else
		wr_u8(&m->w, 0);
}

static void make_octets(struct maker *m, size_t n)
{
	u8 *p = wr_reserve(&m->w, n);
	if (p)
		rng_fill(&rng.rng, p, n);
}

static void make_rdata(struct maker *m, u16 type)
{
	switch (type) {
	case DNS_A:
		make_octets(m, 4);
		break;
	case DNS_AAAA:
		make_octets(m, 16);
		break;
	case DNS_CNAME:
	case DNS_PTR:
	case DNS_NS:
		make_name(m, true);
		break;
	case DNS_MX:
		make_octets(m, 2);
		make_name(m, true);
		break;
	case DNS_SRV:
		make_octets(m, 6);
		make_name(m, false);
		break;
	case DNS_SOA:
		make_name(m, true);
		make_name(m, true);
		make_octets(m, 20);
		break;
	case DNS_TXT:
		for (u32 strings = 1 + below(3); strings > 0; strings--) {
			u8 n = (u8)below(60);
			wr_u8(&m->w, n);
			make_octets(m, n);
		}
		break;
	case DNS_SVCB:
	case DNS_HTTPS:
		make_octets(m, 2);
		make_name(m, false);
		break;
	default:
		make_octets(m, below(40));
	}
}

static void make_record(struct maker *m)
{
	static const u16 types[] = { DNS_A, DNS_AAAA, DNS_CNAME, DNS_PTR, DNS_NS, DNS_MX, DNS_SRV, DNS_SOA, DNS_TXT, DNS_SVCB, DNS_HTTPS,
		TYPE_UNKNOWN };
	u16 type = types[below(ARRAY_LEN(types))];

	make_name(m, true);
	wr_be16(&m->w, type);
	wr_be16(&m->w, DNS_CLASS_IN);
	wr_be32(&m->w, rng_u32(&rng.rng));
	u8 *len = wr_reserve(&m->w, 2);
	size_t start = wr_len(&m->w);
	make_rdata(m, type);
	if (len)
		put_be16(len, (u16)(wr_len(&m->w) - start));
}

static size_t make_message(u8 *buf, bool is_query)
{
	struct maker m = { .w = wr_init(buf, MESSAGE_MAX) };
	u16 counts[3];

	wr_be16(&m.w, (u16)rng_u32(&rng.rng));
	wr_be16(&m.w, (u16)((rng_u32(&rng.rng) & ~DNS_FLAG_QR) | (is_query ? 0 : DNS_FLAG_QR)));
	wr_be16(&m.w, 1);
	for (int i = 0; i < 3; i++) {
		counts[i] = (u16)(is_query ? below(8) == 0 : below(4));
		wr_be16(&m.w, counts[i]);
	}
	make_name(&m, false);
	wr_be16(&m.w, (u16)(below(2) ? DNS_A : rng_u32(&rng.rng)));
	wr_be16(&m.w, DNS_CLASS_IN);
	for (int i = 0; i < 3; i++)
		for (u16 k = 0; k < counts[i]; k++)
			make_record(&m);
	if (below(2)) {
		dns_opt_write(&m.w, (u16)rng_u32(&rng.rng), below(2));
		if (below(2)) {
			put_be16(m.w.p - 2, 12);
			wr_bytes(&m.w, "\0\x0a\0\x08", 4);
			make_octets(&m, 8);
		}
	}
	return wr_ok(&m.w) ? wr_len(&m.w) : 0;
}

/* One of the things that happen to messages, by accident or on purpose. */
static size_t damage(u8 *buf, size_t n)
{
	size_t at = below((u32)n);

	switch (below(7)) {
	case 0:
		return at;
	case 1:
		buf[at] = (u8)rng_u32(&rng.rng);
		return n;
	case 2:
		buf[at] ^= (u8)(1u << below(8));
		return n;
	case 3: /* a pointer to anywhere near */
		if (at + 2 <= n)
			put_be16(buf + at, (u16)(0xc000 | (below(2) ? below((u32)n + 4) : at + 4 - below(8))));
		return n;
	case 4: /* a count that lies */
		put_be16(buf + 4 + 2 * below(4), (u16)(below(2) ? below(6) : rng_u32(&rng.rng)));
		return n;
	case 5: /* octets lost */
		if (at + 8 < n) {
			size_t lost = 1 + below(7);
			memmove(buf + at, buf + at + lost, n - at - lost);
			return n - lost;
		}
		return n;
	default: /* octets behind */
		rng_fill(&rng.rng, buf + n, 16);
		return n + 1 + below(15);
	}
}

/* --- what ldns says --- */

static const u8 *message;
static size_t message_len;

static bool disagree(const char *what, const char *why)
{
	printf("# %s: %s\n# ", what, why);
	for (size_t i = 0; i < message_len; i++)
		printf("%02x", message[i]);
	printf("\n");
	return false;
}

/* Does a pointer of the name at `pos` lead where we do not follow? `pos` then lies behind the name as far as it can be told. */
static bool has_odd_pointer(const u8 *p, size_t n, size_t *pos)
{
	size_t at = *pos, start = *pos, bound = n; /* of the part that is being read */
	unsigned jumps = 0, len = 0;
	bool has_jumped = false;

	while (at < n) {
		u8 c = p[at];
		if (at >= bound)
			return true;
		if (c >= 0xc0) {
			if (at + 1 >= bound && has_jumped)
				return true;
			if (at + 1 >= n)
				return false;
			size_t to = (size_t)(c & 0x3f) << 8 | p[at + 1];
			if (!has_jumped)
				*pos = at + 2;
			has_jumped = true;
			if (to >= start || to < DNS_HEADER_LEN || ++jumps > 127)
				return true;
			bound = start;
			at = start = to;
		} else {
			len += c + 1u;
			if (c > 63 || len > 255)
				return false;
			at += c + 1u;
			if (at > bound) /* into the part that led here */
				return true;
			if (c == 0) {
				if (!has_jumped)
					*pos = at;
				return false;
			}
		}
	}
	return false;
}

/* The same of all owner names, as far as the message can be walked. */
static bool has_odd_owner(const u8 *p, size_t n)
{
	size_t pos = DNS_HEADER_LEN;
	u32 questions = get_be16(p + 4), records = (u32)get_be16(p + 6) + get_be16(p + 8) + get_be16(p + 10);

	for (u32 i = 0; i < questions + records; i++) {
		if (has_odd_pointer(p, n, &pos))
			return true;
		pos += i < questions ? 4 : 8;
		if (i >= questions) {
			if (pos + 2 > n)
				return false;
			pos += 2u + get_be16(p + pos);
		}
		if (pos > n)
			return false;
	}
	return false;
}

/* The message with all records, as far as it can be walked, made of a type that ldns knows nothing of. `is_whole`: it could to its end. */
static u8 *without_types(bool *is_whole)
{
	u8 *copy = malloc(message_len ? message_len : 1);
	size_t pos = DNS_HEADER_LEN;

	*is_whole = false;
	memcpy(copy, message, message_len);
	if (message_len < DNS_HEADER_LEN)
		return copy;
	u32 questions = get_be16(copy + 4), records = (u32)get_be16(copy + 6) + get_be16(copy + 8) + get_be16(copy + 10);
	for (u32 i = 0; i < questions + records; i++) {
		ldns_rdf *name = NULL;
		if (ldns_wire2dname(&name, message, message_len, &pos) != LDNS_STATUS_OK)
			return copy;
		ldns_rdf_deep_free(name);
		if (pos + (i < questions ? 4 : 10) > message_len)
			return copy;
		if (i >= questions) {
			put_be16(copy + pos, TYPE_UNKNOWN);
			pos += 6u + get_be16(message + pos + 8);
		}
		pos += 4;
	}
	*is_whole = pos <= message_len;
	return copy;
}

static bool name_eq(const struct dns_name *ours, const ldns_rdf *theirs)
{
	count.names++;
	return theirs && ldns_rdf_size(theirs) == ours->len && memcmp(ldns_rdf_data(theirs), ours->wire, ours->len) == 0 &&
		!is_sabotaged("name");
}

/* Our text is one that ldns reads as the same name, and theirs one that we do. */
static bool text_agrees(const struct dns_name *ours, const ldns_rdf *theirs)
{
	char text[DNS_NAME_STRLEN];
	struct dns_name back;

	dns_name_text(ours, text);
	if (is_sabotaged("text"))
		text[0] ^= 1;
	ldns_rdf *read = ldns_dname_new_frm_str(text);
	bool same = read && ldns_rdf_size(read) == ours->len && memcmp(ldns_rdf_data(read), ours->wire, ours->len) == 0;
	ldns_rdf_deep_free(read);
	if (!same)
		return disagree("ldns reads another name from our text", text);
	char *printed = ldns_rdf2str(theirs);
	same = printed && dns_name_from_text(printed, &back) == 0 && back.len == ours->len && memcmp(back.wire, ours->wire, back.len) == 0;
	if (!same)
		disagree("we read another name from the text of ldns", printed ? printed : "none");
	free(printed);
	return same;
}

static bool header_agrees(u16 id, u16 flags, const ldns_pkt *p)
{
	return id == ldns_pkt_id(p) && !!(flags & DNS_FLAG_QR) == ldns_pkt_qr(p) && !!(flags & DNS_FLAG_AA) == ldns_pkt_aa(p) &&
		!!(flags & DNS_FLAG_TC) == ldns_pkt_tc(p) && !!(flags & DNS_FLAG_RD) == ldns_pkt_rd(p) &&
		!!(flags & DNS_FLAG_RA) == ldns_pkt_ra(p) && !!(flags & DNS_FLAG_AD) == ldns_pkt_ad(p) &&
		!!(flags & DNS_FLAG_CD) == ldns_pkt_cd(p) && DNS_OPCODE(flags) == (unsigned)ldns_pkt_get_opcode(p) &&
		(flags & 15) == (unsigned)ldns_pkt_get_rcode(p);
}

static bool question_agrees(const struct dns_question *q, const ldns_pkt *p)
{
	const ldns_rr_list *list = ldns_pkt_question(p);

	if (q->name.len == 0)
		return ldns_rr_list_rr_count(list) == 0;
	const ldns_rr *rr = ldns_rr_list_rr(list, 0);
	return rr && name_eq(&q->name, ldns_rr_owner(rr)) && q->type == ldns_rr_get_type(rr) && q->class == ldns_rr_get_class(rr) &&
		text_agrees(&q->name, ldns_rr_owner(rr));
}

/* Do we understand the data of this record, and as what ldns does? */
static bool data_agrees(const struct dns_record *rec, const ldns_rr *rr)
{
	const ldns_rdf *first = ldns_rr_rdf(rr, 0);
	size_t pos = (size_t)(rec->rdata.p - message);
	struct dns_name name;
	struct ip ip;
	u32 secs;

	if (is_sabotaged("data"))
		return false;
	switch (rec->type) {
	case DNS_A:
	case DNS_AAAA:
		return dns_record_ip(rec, &ip) == 0 && ldns_rdf_size(first) == ip_len(&ip) && memcmp(ldns_rdf_data(first), ip.b, ip_len(&ip)) == 0;
	case DNS_CNAME:
	case DNS_PTR:
	case DNS_NS:
		if (dns_record_name(rec, SPAN(message, message_len), &name) != 0) {
			count.pointers++;
			return has_odd_pointer(message, message_len, &pos);
		}
		return name_eq(&name, first) && text_agrees(&name, first);
	case DNS_SOA:
		if (dns_record_soa_minimum(rec, SPAN(message, message_len), &secs) != 0) {
			count.pointers++;
			return has_odd_pointer(message, message_len, &pos) || has_odd_pointer(message, message_len, &pos);
		}
		return secs == ldns_rdf2native_int32(ldns_rr_rdf(rr, 6));
	}
	return true;
}

/* What ldns cannot read as this type, or reads to another end than its length says, we must not understand either. */
static bool data_is_refused(const struct dns_record *rec)
{
	struct dns_name name;
	struct ip ip;
	u32 secs;

	return dns_record_ip(rec, &ip) != 0 && dns_record_name(rec, SPAN(message, message_len), &name) != 0 &&
		dns_record_soa_minimum(rec, SPAN(message, message_len), &secs) != 0;
}

static bool owner_agrees(const struct dns_record *rec, size_t pos)
{
	ldns_rdf *owner = NULL;

	bool agree = ldns_wire2dname(&owner, message, message_len, &pos) == LDNS_STATUS_OK && name_eq(&rec->name, owner);
	ldns_rdf_deep_free(owner);
	return agree;
}

/* Does ldns go on behind each record where we do? */
static bool ends_agree;

/* The record at `pos` with its true type. */
static bool typed_agrees(const struct dns_record *rec, size_t pos)
{
	ldns_rr *rr = NULL;
	size_t end = (size_t)(rec->rdata.p + rec->rdata.n - message);

	bool fits = ldns_wire2rr(&rr, message, message_len, &pos, LDNS_SECTION_ANSWER) == LDNS_STATUS_OK;
	bool is_whole = fits && pos == end && ldns_rr_rd_count(rr) > 0 &&
		ldns_rr_rd_count(rr) >= ldns_rr_descriptor_minimum(ldns_rr_descript(rec->type));
	count.typed += is_whole;
	ends_agree = ends_agree && fits && pos == end;
	bool agree = is_whole ? data_agrees(rec, rr) : data_is_refused(rec);
	if (fits)
		ldns_rr_free(rr);
	return agree;
}

static bool record_agrees(const struct dns_record *rec, const ldns_rr *rr)
{
	const ldns_rdf *data = ldns_rr_rdf(rr, 0);

	count.records++;
	return rec->class == ldns_rr_get_class(rr) && rec->ttl + is_sabotaged("ttl") == ldns_rr_ttl(rr) &&
		(data ? ldns_rdf_size(data) == rec->rdata.n && memcmp(ldns_rdf_data(data), rec->rdata.p, rec->rdata.n) == 0 : rec->rdata.n == 0);
}

static bool records_agree(const struct dns_response *r, const ldns_pkt *p)
{
	const ldns_rr_list *lists[] = { ldns_pkt_answer(p), ldns_pkt_authority(p), ldns_pkt_additional(p) };
	size_t at[3] = { 0 }, pos = r->question_end;
	struct dns_walk walk = dns_walk(SPAN(message, message_len), r);
	struct dns_record rec;

	ends_agree = true;
	while (dns_walk_next(&walk, &rec)) {
		const ldns_rr *rr = ldns_rr_list_rr(lists[rec.section], at[rec.section]++);
		if (!rr || !record_agrees(&rec, rr) || !owner_agrees(&rec, pos))
			return disagree("another record", "without its type");
		if (!typed_agrees(&rec, pos))
			return disagree("another record", "of its type");
		pos = (size_t)(rec.rdata.p + rec.rdata.n - message);
	}
	for (int i = 0; i < 3; i++)
		if (at[i] != ldns_rr_list_rr_count(lists[i]))
			return disagree("more records", "on their side");
	return pos == r->end || disagree("response", "ends elsewhere");
}

static struct dns_response records_of(const struct dns_query *q)
{
	return (struct dns_response){ .question_end = q->question_end, .end = q->end, .n_answers = get_be16(message + 6),
		.n_authority = get_be16(message + 8), .n_additional = get_be16(message + 10) };
}

/* `p` knows the true types here. */
static bool edns_agrees(const struct dns_query *q, const ldns_pkt *p)
{
	struct dns_response as = records_of(q);
	struct dns_walk walk = dns_walk(SPAN(message, message_len), &as);
	struct dns_record rec;
	unsigned opts = 0;
	bool is_odd = !ends_agree;

	while (dns_walk_next(&walk, &rec))
		if (rec.section == DNS_ADDITIONAL && rec.type == DNS_OPT)
			is_odd |= rec.name.len != 1 || ++opts > 1;
	if (is_odd) {
		count.opt++;
		return true;
	}
	u16 size = ldns_pkt_edns_udp_size(p);
	if (is_sabotaged("edns"))
		size++;
	return opts == 0 ? !q->has_edns && q->udp_size == DNS_UDP_MIN :
		q->has_edns && q->udp_size == MAX(size, (u16)DNS_UDP_MIN) && q->is_dnssec_ok == ldns_pkt_edns_do(p);
}

/* --- one message, both sides --- */

static bool verdicts_agree(bool ours, bool theirs)
{
	u16 questions = message_len >= 6 ? get_be16(message + 4) : 0;

	if (is_sabotaged("accept"))
		ours = true;
	if (is_sabotaged("reject"))
		ours = false;
	if (ours == theirs) {
		*(ours ? &count.both_accept : &count.both_refuse) += 1;
		return true;
	}
	if (ours) {
		count.size++;
		return message_len == DNS_HEADER_LEN || disagree("we accept", "ldns refuses");
	}
	if (questions > 1 || (questions == 0 && !(get_be16(message + 2) & DNS_FLAG_QR))) {
		count.question++;
		return true;
	}
	count.pointers++;
	return has_odd_owner(message, message_len) || disagree("we refuse, ldns accepts", "and no pointer explains it");
}

static bool try_query(const ldns_pkt *theirs)
{
	struct dns_query q;
	ldns_pkt *typed = NULL;
	bool ours = dns_query_parse(SPAN(message, message_len), &q) == 0;

	if (!verdicts_agree(ours, theirs))
		return false;
	if (!ours || !theirs)
		return true;
	struct dns_response as = records_of(&q);
	if (!header_agrees(q.id, q.flags, theirs) || !question_agrees(&q.q, theirs))
		return disagree("query", "another header or question");
	if (!records_agree(&as, theirs))
		return false;
	if (ldns_wire2pkt(&typed, message, message_len) != LDNS_STATUS_OK)
		return true;
	bool agree = edns_agrees(&q, typed) || disagree("query", "other EDNS");
	ldns_pkt_free(typed);
	return agree;
}

static bool try_response(const ldns_pkt *theirs)
{
	struct dns_response r;
	bool ours = dns_response_parse(SPAN(message, message_len), &r) == 0;

	if (!verdicts_agree(ours, theirs))
		return false;
	if (!ours || !theirs)
		return true;
	if (!header_agrees(r.id, r.flags, theirs) || !question_agrees(&r.q, theirs))
		return disagree("response", "another header or question");
	return records_agree(&r, theirs);
}

static bool try_message(const u8 *buf, size_t n)
{
	u8 *exact = malloc(n ? n : 1); /* of just that size, for the sanitizer */
	ldns_pkt *theirs = NULL;

	memcpy(exact, buf, n);
	message = exact;
	message_len = n;
	bool is_whole, agree = true;
	u8 *untyped = without_types(&is_whole);
	if (ldns_wire2pkt(&theirs, untyped, n) != LDNS_STATUS_OK)
		theirs = NULL;
	if (is_whole != (theirs != NULL) && n != DNS_HEADER_LEN)
		count.fields++; /* a name led through the type of a record: what we changed there changed the name */
	else
		agree = n >= 4 && get_be16(buf + 2) & DNS_FLAG_QR ? try_response(theirs) : try_query(theirs);
	if (theirs)
		ldns_pkt_free(theirs);
	free(untyped);
	free(exact);
	return agree;
}

/* Of each number a whole message, and three stages of its decay. */
static bool run(bool is_query, u64 messages)
{
	u8 buf[MESSAGE_MAX + 64];

	for (u64 i = 0; i < messages; i++) {
		size_t n = make_message(buf, is_query);
		for (unsigned stage = 0; stage < 4 && n > 0; stage++) {
			if (!try_message(buf, n))
				return false;
			n = damage(buf, n);
			if (n > MESSAGE_MAX)
				break;
		}
	}
	return true;
}

int main(int argc, char **argv)
{
	u64 messages = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;

	rng_seeded_init(&rng, argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
	sabotage = argc > 3 ? argv[3] : "";
	bool queries = run(true, messages), responses = run(false, messages);
	printf("%s dns_ldns_queries\n%s dns_ldns_responses\n", queries ? "ok" : "not ok", responses ? "ok" : "not ok");
	printf("# accepted %llu, refused %llu; %llu records, %llu of them by type, %llu names; differing: pointers %llu, question %llu, "
	       "size %llu, opt %llu; %llu left out\n",
		(unsigned long long)count.both_accept, (unsigned long long)count.both_refuse, (unsigned long long)count.records,
		(unsigned long long)count.typed, (unsigned long long)count.names, (unsigned long long)count.pointers,
		(unsigned long long)count.question, (unsigned long long)count.size, (unsigned long long)count.opt, (unsigned long long)count.fields);
	if (count.fields > messages / 100)
		printf("not ok dns_ldns_left_out\n");
	return queries && responses ? 0 : 1;
}
