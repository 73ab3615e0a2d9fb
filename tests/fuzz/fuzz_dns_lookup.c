/* Look-ups: the first octet says what follows: resolv.conf, hosts, a name to look up, or an answer to one. */
#include "core/base/rng.h"
#include "core/dns/lookup.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#define GROUP 1u

static void check_conf(struct span text)
{
	struct lookup_conf c;
	struct dns_server servers[FORWARD_SERVERS_MAX];
	struct forward_group g;

	lookup_conf_parse(&c, text, "host.example");
	lookup_conf_group(&c, servers, &g);
	if (c.n_servers > FORWARD_SERVERS_MAX || c.n_search > LOOKUP_SEARCH_MAX || c.ndots > 15 || c.attempts < 1 || c.attempts > 5 ||
	    c.timeout < SEC(1) || c.timeout > SEC(30) || g.n != c.n_servers || g.timeout > LOOKUP_TIMEOUT)
		abort();
}

/* The answer's ID is put right; all else is the peer's. */
static void check_answer(struct forwarder *f, struct lookup *l, struct span data)
{
	struct dns_exchange e;
	struct dns_answer a;
	struct lookup_result r;
	u32 results = 0;
	u8 buf[4096];

	if (lookup_start(l, 0, "app.example", 1))
		abort();
	for (u32 i = 0; i < 100 && forwarder_poll_exchange(f, &e); i++) {
		size_t n = MIN(data.n, sizeof(buf));
		if (e.is_cancel)
			continue;
		if (n > 0)
			memcpy(buf, data.p, n);
		if (n >= 2)
			memcpy(buf, e.message.p, 2);
		if (!forwarder_response(f, 0, e.id, &e.server->addr, SPAN(buf, n)))
			forwarder_failed(f, 0, e.id, ERR_CLOSED);
		while (forwarder_poll_answer(f, &a))
			lookup_answer(l, 0, &a);
	}
	while (lookup_poll(l, &r)) {
		results++;
		if (r.n4 > LOOKUP_ADDRESSES_MAX || r.n6 > LOOKUP_ADDRESSES_MAX)
			abort();
		for (u32 i = 0; i < r.n4 + r.n6; i++)
			if (r.ips[i].family != (i < r.n4 ? 4 : 6))
				abort();
	}
	if (results > 1)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rng_seeded rng;
	struct dns_server server = { .addr = { ip4(192, 0, 2, 1), 53 } };
	struct forward_group g = { &server, 1, true, 0 };

	if (size == 0)
		return 0;
	struct span in = SPAN(data + 1, size - 1);
	rng_seeded_init(&rng, 1);
	struct forwarder *f = forwarder_new(&rng.rng, 8);
	struct lookup *l = lookup_new(f, GROUP, &rng.rng);
	if (!l || forwarder_set_group(f, 0, GROUP, &g))
		abort();
	switch (data[0] % 4) {
	case 0:
		check_conf(in);
		break;
	case 1:
		if (lookup_set_hosts(l, in) == 0 && lookup_stats(l)->hosts > in.n)
			abort();
		break;
	case 2: {
		char name[1100];
		memcpy(name, in.p, MIN(in.n, sizeof(name) - 1));
		name[MIN(in.n, sizeof(name) - 1)] = 0;
		(void)!lookup_start(l, 0, name, 1);
		break;
	}
	case 3:
		check_answer(f, l, in);
		break;
	}
	lookup_free(l);
	forwarder_free(f);
	return 0;
}
