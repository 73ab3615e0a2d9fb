/* core/dns/message.h: DNS messages: what a query asks, what a response holds, and answers made here (RFC 1035, 3597, 6891, 2308).
 *
 * A message is checked once, as a whole; then views into it are cheap. Record data is never interpreted beyond what is named here: all
 * types pass through untouched. Nothing allocates.
 */
#pragma once

#include "core/dns/name.h"

#define DNS_HEADER_LEN 12u
#define DNS_MESSAGE_MAX 65535u
#define DNS_UDP_MIN 512u       /* what every client takes */
#define DNS_EDNS_UDP 1232u     /* what we announce */
#define DNS_RECORDS_MAX 5956u  /* that fit into a message: (65535 - 12) / 11 */

enum dns_type {
	DNS_A = 1, DNS_NS = 2, DNS_CNAME = 5, DNS_SOA = 6, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28, DNS_SRV = 33, DNS_OPT = 41,
	DNS_SVCB = 64, DNS_HTTPS = 65, DNS_ANY = 255,
};
#define DNS_CLASS_IN 1u

enum dns_rcode { DNS_NOERROR = 0, DNS_FORMERR = 1, DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3, DNS_NOTIMP = 4, DNS_REFUSED = 5 };

/* Of the second header word. */
#define DNS_FLAG_QR 0x8000u
#define DNS_FLAG_AA 0x0400u
#define DNS_FLAG_TC 0x0200u
#define DNS_FLAG_RD 0x0100u
#define DNS_FLAG_RA 0x0080u
#define DNS_FLAG_AD 0x0020u
#define DNS_FLAG_CD 0x0010u
#define DNS_FLAG_OPCODE 0x7800u
#define DNS_OPCODE(flags) (((flags) >> 11) & 15u)

struct dns_question {
	struct dns_name name; /* in the case in which it was asked */
	u16 type, class;
};

/* A well-formed query with exactly one question (spec 30 §9.1). */
struct dns_query {
	u16 id, flags;
	struct dns_question q;
	u32 question_end; /* offset behind the question: header + question are the bytes [0, question_end) */
	u32 end;          /* offset behind the last record; what follows is no part of the message */
	bool has_edns, is_dnssec_ok;
	bool has_client_subnet; /* RFC 7871: the answer may be for that subnet only */
	u16 udp_size;     /* that the asker takes over UDP: EDNS's, at least DNS_UDP_MIN */
};

/* ERR_MALFORMED: not parsable, not a query, not exactly one question, or fewer records than it counts. Octets behind the last record
 * are ignored, as resolvers do. */
int dns_query_parse(struct span message, struct dns_query *out) MUST_CHECK;

/* A well-formed response. Every record of every section was walked and lies within the message. Servers that fail may leave the question
 * out (FORMERR, NOTIMP of old ones): then q.name.len is 0 and nothing matches. */
struct dns_response {
	u16 id, flags;
	u8 rcode; /* of the header; extended codes by EDNS are not merged in */
	struct dns_question q;
	u32 question_end, end; /* as of a query */
	u16 n_answers, n_authority, n_additional;
};

int dns_response_parse(struct span message, struct dns_response *out) MUST_CHECK;
/* The same question (name without regard to case, type, class), and a response. Does not look at the ID. */
bool dns_response_matches(const struct dns_response *r, const struct dns_question *q);

enum dns_section { DNS_ANSWER, DNS_AUTHORITY, DNS_ADDITIONAL };

struct dns_record {
	enum dns_section section;
	struct dns_name name;
	u16 type, class;
	u32 ttl;
	u32 ttl_offset; /* of its four octets in the message */
	struct span rdata;
};

/* Walks all records in order: `struct dns_walk w = dns_walk(message, &r); while (dns_walk_next(&w, &rec)) …` */
struct dns_walk {
	struct rd rd;
	struct span message;
	u32 left[3];
};
struct dns_walk dns_walk(struct span message, const struct dns_response *r);
bool dns_walk_next(struct dns_walk *w, struct dns_record *out);

/* Names of an address or alias record. ERR_MALFORMED when the data does not fit the type. */
int dns_record_ip(const struct dns_record *r, struct ip *out) MUST_CHECK;     /* A, AAAA */
int dns_record_name(const struct dns_record *r, struct span message, struct dns_name *out) MUST_CHECK; /* CNAME, PTR, NS */
/* The seconds a negative answer with this SOA may be kept, before the record's own TTL bounds it (RFC 2308 §5). */
int dns_record_soa_minimum(const struct dns_record *r, struct span message, u32 *secs) MUST_CHECK;

/* --- making messages. `w` is positioned at the start of an empty buffer; wr_ok() tells at the end whether all fitted. --- */

/* Header and question of a local answer (spec 30 §9.1): ID, opcode, RD and question copied, QR set, all other flags 0. */
void dns_answer_begin(struct wr *w, struct span query, const struct dns_query *q, enum dns_rcode rcode);
/* Records owned by the question's name, class IN; the counts follow. */
void dns_answer_ip(struct wr *w, u32 ttl, const struct ip *ip);
void dns_answer_name(struct wr *w, u16 type, u32 ttl, const struct dns_name *target); /* PTR, CNAME */
void dns_answer_rdata(struct wr *w, u16 type, u32 ttl, struct span rdata);
/* Header and question of `response` with TC set and all other counts 0 (spec 30 §10.4). */
void dns_truncate(struct wr *w, struct span response, const struct dns_response *r);

/* An OPT record at the end of the message (RFC 6891); the count follows. */
void dns_opt_write(struct wr *w, u16 udp_size, bool is_dnssec_ok);
/* A query of our own: RD set, one question; `udp_size` > 0 adds an OPT record. */
void dns_query_write(struct wr *w, u16 id, const struct dns_question *q, u16 udp_size);

static inline void dns_set_id(u8 *message, u16 id)
{
	put_be16(message, id);
}
