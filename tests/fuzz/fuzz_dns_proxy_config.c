/* A configuration of dns-proxy, and behind a NUL octet a resolv.conf and behind another a blocklist. What was understood is asked. */
#include "applets/dns_proxy/config.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

static struct span next_part(struct span *rest)
{
	const u8 *nul = memchr(rest->p, 0, rest->n);
	struct span part = SPAN(rest->p, nul ? (size_t)(nul - rest->p) : rest->n);

	*rest = nul ? SPAN(nul + 1, rest->n - part.n - 1) : SPAN(rest->p, 0);
	return part;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "nas.lan", "nas", "a.corp.example", "5.1.168.192.in-addr.arpa", "ads.example", NULL };
	static u8 out[DNS_MESSAGE_MAX];
	struct rng_seeded rng;
	struct config c;
	struct span rest = SPAN(data, size);
	u32 bad, first;

	if (size == 0)
		return 0;
	rng_seeded_init(&rng, 1);
	if (config_init(&c, &rng.rng, NULL, NULL) != 0)
		abort();
	config_text(&c, "fuzz", next_part(&rest));
	struct span resolv = next_part(&rest);
	struct blocklist *b = blocklist_new(&rng.rng);
	if (blocklist_add_text(b, rest, &bad, &first) != 0)
		abort();
	split_set_blocklist(c.split, b, c.blocks_with_zero);
	config_finish(&c, resolv, NULL);
	for (size_t i = 0; names[i]; i++) {
		u8 query[300];
		struct dns_question question = { .type = i & 1 ? DNS_A : DNS_TXT, .class = DNS_CLASS_IN };
		struct wr m = wr_init(query, sizeof(query)), w = wr_init(out, sizeof(out));
		struct dns_query q;
		struct dns_response r;
		if (dns_name_from_text(names[i], &question.name) != 0)
			abort();
		dns_query_write(&m, 1, &question, 1232);
		if (dns_query_parse(wr_span(&m), &q) != 0)
			abort();
		struct split_verdict v = split_decide(c.split, wr_span(&m), &q, &w);
		if (v.action == SPLIT_ANSWER && wr_ok(&w) && dns_response_parse(wr_span(&w), &r) != 0)
			abort();
	}
	config_deinit(&c);
	return 0;
}
