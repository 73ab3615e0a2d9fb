/* The engine of dns-proxy: clients that send anything, servers that answer anything. Each piece of the input is a length octet, a kind and the
 * bytes: a query by UDP or TCP, a client's name (an address octet), an upstream answer, time that passes.
 *
 * Whatever comes: an answer is a response with the ID of the query, over UDP of the size that the asker takes. */
#include "core/dns/proxy.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#define PIECES_MAX 64

static const u8 name_lan[] = "\3nas\3lan", name_www[] = "\3www\3lan", name_far[] = "\3far\7example", name_ads[] = "\3ads\7example";

static struct dns_name name_of(const u8 *wire, size_t n)
{
	struct dns_name name = { .len = (u8)n };
	memcpy(name.wire, wire, n);
	return name;
}

static struct split *rules(struct rng *rng)
{
	struct split *s = split_new(rng);
	struct dns_server servers[2] = { { .transport = DNS_OVER_UDP, .addr = { ip4(192, 0, 2, 1), 53 } },
					 { .transport = DNS_OVER_TCP, .addr = { ip4(192, 0, 2, 2), 53 } } };
	struct dns_name lan = name_of(name_lan, sizeof(name_lan)), www = name_of(name_www, sizeof(name_www)), suffix = name_of(name_lan + 4, 5),
			ads = name_of(name_ads, sizeof(name_ads));
	struct blocklist *b = blocklist_new(rng);

	if (split_set_default(s, servers, 1) || split_add_rule(s, "**.example", SPLIT_RULE_SERVERS, servers, 2) ||
	    split_add_record(s, &lan, DNS_A, 60, SPAN_STR("\xc0\xa8\1\1")) ||
	    split_add_record(s, &www, DNS_CNAME, 60, SPAN(name_far, sizeof(name_far))) || split_add_search(s, &suffix) || blocklist_add(b, &ads))
		abort();
	split_set_blocklist(s, b, false);
	split_finish(s);
	return s;
}

static void check(const struct proxy_client *c, u16 id, struct span message)
{
	if (message.n < DNS_HEADER_LEN || !(message.p[2] & 0x80) || get_be16(message.p) != id || (!c->is_tcp && message.n > DNS_EDNS_UDP))
		abort();
}

static u16 last_id;

static void deliver(struct forwarder *f, struct proxy *p, u64 now)
{
	struct dns_answer a;
	struct proxy_answer out;

	while (forwarder_poll_answer(f, &a))
		if (proxy_answer(p, now, &a, &out))
			check(&out.client, get_be16(out.message.p), out.message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static u8 out[DNS_MESSAGE_MAX];
	struct rng_seeded rng;
	struct rd r = rd_init(data, size);
	struct clients clients;
	u64 now = SEC(10);
	u32 exchange = 0;
	struct proxy_client c = { .addr = { ip4(10, 0, 0, 1), 1 } };

	rng_seeded_init(&rng, 1);
	struct forwarder *f = forwarder_new(&rng.rng, 64);
	struct proxy *p = proxy_new(&(struct proxy_config){ .forwarder = f, .rng = &rng.rng, .cache_bytes = 1 << 16, .queries_max = 64 });
	if (clients_init(&clients, 100, 20, &rng.rng) || proxy_set_rules(p, now, rules(&rng.rng), &clients, rd_u8(&r) & 1))
		abort();
	for (int i = 0; i < PIECES_MAX && rd_left(&r) > 2; i++) {
		u8 len = rd_u8(&r), kind = rd_u8(&r);
		struct span piece = rd_bytes(&r, MIN((size_t)len * (kind & 0x80 ? 16 : 1), rd_left(&r)));
		struct dns_exchange e;
		size_t n = 0;

		switch (kind & 7) {
		case 0:
		case 1:
			c.is_tcp = kind & 1;
			last_id = piece.n > 1 ? get_be16(piece.p) : 0;
			if (proxy_input(p, now, &c, piece, (struct mspan){ out, c.is_tcp ? sizeof(out) : DNS_EDNS_UDP }, &n) == PROXY_ANSWER)
				check(&c, last_id, SPAN(out, n));
			break;
		case 2: /* an answer with the ID that is waited for */
		case 3:
			if (exchange && piece.n > 2) {
				u8 copy[4096];
				memcpy(copy, piece.p, MIN(piece.n, sizeof(copy)));
				if (kind & 1)
					copy[2] |= 0x80;
				(void)forwarder_response(f, now, exchange, NULL, SPAN(copy, MIN(piece.n, sizeof(copy))));
			}
			break;
		case 4:
			now += MSEC(50) * len;
			forwarder_timeout(f, now);
			break;
		case 5:
			c.addr.ip = ip4(len & 1 ? 10 : 8, 0, 0, len);
			break;
		case 6:
			proxy_forget(p, 0);
			break;
		case 7:
			if (clients_init(&clients, 0, 0, &rng.rng) || proxy_set_rules(p, now, rules(&rng.rng), &clients, false))
				abort();
			break;
		}
		while (forwarder_poll_exchange(f, &e))
			exchange = e.is_cancel ? exchange : e.id;
		deliver(f, p, now);
	}
	proxy_free(p);
	forwarder_free(f);
	return 0;
}
