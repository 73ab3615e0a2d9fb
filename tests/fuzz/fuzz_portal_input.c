/* What reaches a portal besides peers' frames: admin requests, tokens, the secrets file, time zones, forwarded addresses. */
#include "applets/portal/admin/verbs.h"
#include "applets/portal/auth/tokens.h"
#include "applets/portal/model/forwarded.h"
#include "applets/portal/model/geo.h"
#include "applets/portal/model/zone.h"
#include "core/base/cursor.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

/* A request that was understood says the same when it is written again. */
static void request(struct span in)
{
	static u8 again[2 * ADMIN_REQUEST_MAX];
	struct admin_request rq, rq2;
	struct wr w = wr_init(again, sizeof(again));

	if (admin_decode_request(in, &rq))
		return;
	if (admin_encode_request(&rq, &w) || admin_decode_request(SPAN(again + 4, wr_len(&w) - 4), &rq2) || rq2.n_fields != rq.n_fields)
		abort();
	const struct noun *n = find_noun(rq.noun);
	if (n)
		(void)find_verb(n, rq.verb);
}

static void token(struct span in)
{
	static const struct secrets secrets;
	struct token_claim claim;
	char *text = malloc(in.n + 1);

	if (!text)
		return;
	memcpy(text, in.n ? in.p : (const u8 *)"", in.n);
	text[in.n] = '\0';
	if (token_open(&claim, TOKEN_CLIENT, text, &secrets) == 0 && claim.nonce_len > TOKEN_NONCE_MAX)
		abort();
	free(text);
}

static void zone(struct span in)
{
	struct zone_rule rule;
	struct zone z;

	if (zone_parse(in, &z) == 0) {
		for (i64 at = -5000000000; at < 10000000000; at += 400000007) {
			i64 offset = zone_offset(&z, at);
			if (offset < -2 * 86400 || offset > 2 * 86400)
				abort();
		}
		zone_deinit(&z);
	}
	if (zone_rule_parse(in, &rule) == 0) {
		struct zone only = { .rule = rule };
		(void)zone_offset(&only, 1800000000);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cidr everywhere = { .ip = ip4(0, 0, 0, 0) };
	struct secrets s;

	if (size == 0 || size > ADMIN_REQUEST_MAX)
		return 0;
	struct span in = SPAN(data + 1, size - 1);
	switch (data[0] % 5) {
	case 0:
		request(in);
		break;
	case 1:
		token(in);
		break;
	case 2:
		zone(in);
		break;
	case 3:
		if (secrets_parse(&s, in) == 0 && in.n < 4 * SECRET_LEN)
			abort();
		break;
	case 4:
		(void)forwarded_real_ip(ip4(192, 0, 2, 1), in, &(struct forwarders){ .proxies = &everywhere, .n_proxies = 1 });
		(void)place_parse(in);
		break;
	}
	return 0;
}
