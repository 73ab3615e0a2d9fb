#include "core/dns/message.h"

#define COUNT_ANSWERS 6u /* offsets in the header */
#define COUNT_ADDITIONAL 10u
#define OPT_FLAG_DO 0x8000u
#define OPTION_CLIENT_SUBNET 8u /* RFC 7871 */

struct header {
	u16 id, flags;
	u16 counts[4]; /* questions, answers, authority, additional */
};

static struct header header_read(struct rd *r)
{
	struct header h;

	h.id = rd_be16(r);
	h.flags = rd_be16(r);
	for (int i = 0; i < 4; i++)
		h.counts[i] = rd_be16(r);
	return h;
}

static int question_read(struct rd *r, struct span message, struct dns_question *q)
{
	if (dns_name_read(r, message, &q->name) != 0)
		return ERR_MALFORMED;
	q->type = rd_be16(r);
	q->class = rd_be16(r);
	return rd_ok(r) ? 0 : ERR_MALFORMED;
}

static bool record_read(struct rd *r, struct span message, struct dns_record *out)
{
	if (dns_name_read(r, message, &out->name) != 0)
		return false;
	out->type = rd_be16(r);
	out->class = rd_be16(r);
	out->ttl_offset = (u32)(r->p - message.p);
	out->ttl = rd_be32(r);
	out->rdata = rd_bytes(r, rd_be16(r));
	return rd_ok(r);
}

/* The options of an OPT record. Ones that do not fit are the asker's affair: an answer without them is still an answer. */
static void options_note(struct rd r, struct dns_query *out)
{
	while (rd_left(&r) > 0) {
		u16 code = rd_be16(&r);
		rd_skip(&r, rd_be16(&r));
		if (rd_ok(&r) && code == OPTION_CLIENT_SUBNET)
			out->has_client_subnet = true;
	}
}

static void edns_note(const struct dns_record *opt, struct dns_query *out)
{
	if (out->has_edns || opt->name.len != 1)
		return;
	out->has_edns = true;
	out->is_dnssec_ok = opt->ttl & OPT_FLAG_DO;
	out->udp_size = opt->class < DNS_UDP_MIN ? (u16)DNS_UDP_MIN : opt->class;
	options_note(rd_span(opt->rdata), out);
}

int dns_query_parse(struct span message, struct dns_query *out)
{
	struct rd r = rd_span(message);
	struct header h = header_read(&r);
	struct dns_record rec;

	if (!rd_ok(&r) || message.n > DNS_MESSAGE_MAX || (h.flags & DNS_FLAG_QR) || h.counts[0] != 1)
		return ERR_MALFORMED;
	out->id = h.id;
	out->flags = h.flags;
	if (question_read(&r, message, &out->q) != 0)
		return ERR_MALFORMED;
	out->question_end = (u32)(r.p - message.p);
	out->has_edns = out->is_dnssec_ok = out->has_client_subnet = false;
	out->udp_size = DNS_UDP_MIN;
	for (u32 i = (u32)h.counts[1] + h.counts[2]; i > 0; i--)
		if (!record_read(&r, message, &rec))
			return ERR_MALFORMED;
	for (u32 i = h.counts[3]; i > 0; i--) {
		if (!record_read(&r, message, &rec))
			return ERR_MALFORMED;
		if (rec.type == DNS_OPT)
			edns_note(&rec, out);
	}
	out->end = (u32)(r.p - message.p);
	return 0;
}

int dns_response_parse(struct span message, struct dns_response *out)
{
	struct rd r = rd_span(message);
	struct header h = header_read(&r);
	struct dns_record rec;

	if (!rd_ok(&r) || message.n > DNS_MESSAGE_MAX || !(h.flags & DNS_FLAG_QR) || h.counts[0] > 1)
		return ERR_MALFORMED;
	out->id = h.id;
	out->flags = h.flags;
	out->rcode = h.flags & 15;
	out->n_answers = h.counts[1];
	out->n_authority = h.counts[2];
	out->n_additional = h.counts[3];
	out->q.name.len = 0;
	out->q.type = out->q.class = 0;
	if (h.counts[0] == 1 && question_read(&r, message, &out->q) != 0)
		return ERR_MALFORMED;
	out->question_end = (u32)(r.p - message.p);
	for (u32 i = (u32)h.counts[1] + h.counts[2] + h.counts[3]; i > 0; i--)
		if (!record_read(&r, message, &rec))
			return ERR_MALFORMED;
	out->end = (u32)(r.p - message.p);
	return 0;
}

bool dns_response_matches(const struct dns_response *r, const struct dns_question *q)
{
	return r->q.type == q->type && r->q.class == q->class && dns_name_eq(&r->q.name, &q->name);
}

struct dns_walk dns_walk(struct span message, const struct dns_response *r)
{
	struct dns_walk w = { rd_span(message), message, { r->n_answers, r->n_authority, r->n_additional } };

	rd_skip(&w.rd, r->question_end);
	return w;
}

bool dns_walk_next(struct dns_walk *w, struct dns_record *out)
{
	unsigned s = DNS_ANSWER;

	while (w->left[s] == 0)
		if (++s > DNS_ADDITIONAL)
			return false;
	w->left[s]--;
	out->section = (enum dns_section)s;
	return record_read(&w->rd, w->message, out);
}

int dns_record_ip(const struct dns_record *r, struct ip *out)
{
	if (r->type == DNS_A && r->rdata.n == 4)
		*out = ip_from_bytes(4, r->rdata.p);
	else if (r->type == DNS_AAAA && r->rdata.n == 16)
		*out = ip_from_bytes(6, r->rdata.p);
	else
		return ERR_MALFORMED;
	return 0;
}

int dns_record_name(const struct dns_record *r, struct span message, struct dns_name *out)
{
	struct rd rd = rd_span(r->rdata);

	if (r->type != DNS_CNAME && r->type != DNS_PTR && r->type != DNS_NS)
		return ERR_MALFORMED;
	return dns_name_read(&rd, message, out) == 0 && rd_done(&rd) ? 0 : ERR_MALFORMED;
}

int dns_record_soa_minimum(const struct dns_record *r, struct span message, u32 *secs)
{
	struct rd rd = rd_span(r->rdata);
	struct dns_name name;

	if (r->type != DNS_SOA || dns_name_read(&rd, message, &name) != 0 || dns_name_read(&rd, message, &name) != 0)
		return ERR_MALFORMED;
	rd_skip(&rd, 16); /* serial, refresh, retry, expire */
	*secs = rd_be32(&rd);
	return rd_done(&rd) ? 0 : ERR_MALFORMED;
}

/* --- making --- */

static void header_write(struct wr *w, u16 id, u16 flags, u16 questions)
{
	wr_be16(w, id);
	wr_be16(w, flags);
	wr_be16(w, questions);
	wr_zero(w, 6);
}

/* Header of our own, question as it stands in the other message. */
static void head_write(struct wr *w, struct span message, u32 question_end, u16 id, u16 flags)
{
	header_write(w, id, flags, question_end > DNS_HEADER_LEN);
	wr_bytes(w, message.p + DNS_HEADER_LEN, question_end - DNS_HEADER_LEN);
}

void dns_answer_begin(struct wr *w, struct span query, const struct dns_query *q, enum dns_rcode rcode)
{
	u16 kept = q->flags & (DNS_FLAG_OPCODE | DNS_FLAG_RD);

	head_write(w, query, q->question_end, q->id, (u16)(DNS_FLAG_QR | kept | (unsigned)rcode));
}

void dns_truncate(struct wr *w, struct span response, const struct dns_response *r)
{
	head_write(w, response, r->question_end, r->id, r->flags | DNS_FLAG_TC);
}

static void count_one(struct wr *w, unsigned count_at)
{
	if (wr_ok(w))
		put_be16(w->start + count_at, (u16)(get_be16(w->start + count_at) + 1));
}

void dns_answer_rdata(struct wr *w, u16 type, u32 ttl, struct span rdata)
{
	wr_be16(w, 0xc000 | DNS_HEADER_LEN);
	wr_be16(w, type);
	wr_be16(w, DNS_CLASS_IN);
	wr_be32(w, ttl);
	wr_be16(w, (u16)rdata.n);
	wr_bytes(w, rdata.p, rdata.n);
	count_one(w, COUNT_ANSWERS);
}

void dns_answer_ip(struct wr *w, u32 ttl, const struct ip *ip)
{
	dns_answer_rdata(w, ip->family == 4 ? DNS_A : DNS_AAAA, ttl, SPAN(ip->b, ip_len(ip)));
}

void dns_answer_name(struct wr *w, u16 type, u32 ttl, const struct dns_name *target)
{
	dns_answer_rdata(w, type, ttl, SPAN(target->wire, target->len));
}

void dns_opt_write(struct wr *w, u16 udp_size, bool is_dnssec_ok)
{
	wr_u8(w, 0);
	wr_be16(w, DNS_OPT);
	wr_be16(w, udp_size);
	wr_be32(w, is_dnssec_ok ? OPT_FLAG_DO : 0);
	wr_be16(w, 0);
	count_one(w, COUNT_ADDITIONAL);
}

void dns_query_write(struct wr *w, u16 id, const struct dns_question *q, u16 udp_size)
{
	header_write(w, id, DNS_FLAG_RD, 1);
	wr_bytes(w, q->name.wire, q->name.len);
	wr_be16(w, q->type);
	wr_be16(w, q->class);
	if (udp_size > 0)
		dns_opt_write(w, udp_size, false);
}
