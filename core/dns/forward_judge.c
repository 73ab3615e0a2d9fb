/* What to think of a response. */
#include "core/dns/forward_int.h"

#include <string.h>

/* Some servers cut a truncated response in the middle of a record: its header and question are enough. */
static bool parse_beheaded(struct span m, const struct job *j, struct dns_response *r)
{
	u8 buf[DNS_HEADER_LEN + DNS_NAME_MAX + 4];
	u32 n = j->query.question_end;
	if (n > sizeof(buf) || m.n < n || !(get_be16(m.p + 2) & DNS_FLAG_TC))
		return false;
	memcpy(buf, m.p, n);
	memset(buf + 6, 0, 6);
	return dns_response_parse(SPAN(buf, n), r) == 0;
}

enum verdict forward_judge(struct forwarder *f, const struct exchange *e, const struct endpoint *from, struct span m)
{
	const struct server *s = exchange_server(e);
	struct dns_response r;

	if (from && s && !endpoint_eq(from, &s->conf.addr)) {
		f->stats.wrong_sender++;
		return VERDICT_WRONG;
	}
	if (m.n < DNS_HEADER_LEN) {
		f->stats.malformed++;
		return VERDICT_WRONG;
	}
	if (get_be16(m.p) != e->wire_id) {
		f->stats.wrong_id++;
		return VERDICT_WRONG;
	}
	if (dns_response_parse(m, &r) && !parse_beheaded(m, e->job, &r)) {
		f->stats.malformed++;
		return VERDICT_WRONG;
	}
	if (r.q.name.len == 0 && r.rcode != DNS_NOERROR)
		return VERDICT_BARE_COMPLAINT; /* without the question: not to be passed on */
	if (!dns_response_matches(&r, &e->job->query.q)) {
		f->stats.wrong_question++;
		return VERDICT_WRONG;
	}
	if (r.rcode == DNS_SERVFAIL || r.rcode == DNS_REFUSED)
		return VERDICT_COMPLAINT;
	return r.flags & DNS_FLAG_TC && e->transport == DNS_OVER_UDP ? VERDICT_TRUNCATED : VERDICT_ANSWER;
}
