/* Both ends of DNS over TCP: the first octet chooses the cuts, the rest is what the peer sends. */
#include "core/base/rng.h"
#include "core/dns/stream.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

static void serve(struct span in, size_t cut)
{
	struct dns_tcp_server *s = dns_tcp_server_new(0, 0);
	struct span q;
	size_t bytes = 0;

	for (u64 now = 0; in.n > 0 && dns_tcp_server_wants_input(s); now += MSEC(1)) {
		size_t n = MIN(in.n, cut);
		dns_tcp_server_input(s, now, SPAN(in.p, n));
		in = SPAN(in.p + n, in.n - n);
		while (dns_tcp_server_poll(s, now, &q)) {
			bytes += 2 + q.n;
			if (q.n < DNS_HEADER_LEN || dns_tcp_server_reply(s, now, q) == ERR_MALFORMED)
				abort();
		}
	}
	dns_tcp_server_input_end(s);
	if (dns_tcp_server_output(s).n > bytes)
		abort();
	dns_tcp_server_timeout(s, SEC(1000));
	if (dns_tcp_server_pending(s) == 0 && !dns_tcp_server_is_over(s, NULL))
		abort();
	dns_tcp_server_free(s);
}

static void ask(struct span in, size_t cut)
{
	struct rng_seeded rng;
	struct dns_tcp_answer a;
	u32 got = 0;

	rng_seeded_init(&rng, 1);
	struct dns_tcp_client *c = dns_tcp_client_new(&rng.rng, 0);
	for (u32 i = 0; i < 8; i++)
		if (dns_tcp_client_ask(c, 0, i, SPAN("\1\2\1\0\0\1\0\0\0\0\0\0", 12)))
			abort();
	dns_tcp_client_cancel(c, 3);
	while (in.n > 0) {
		size_t n = MIN(in.n, cut);
		dns_tcp_client_input(c, 0, SPAN(in.p, n));
		in = SPAN(in.p + n, in.n - n);
		while (dns_tcp_client_poll(c, &a)) {
			got++;
			if (a.id > 7 || a.id == 3 || (a.error == 0 && get_be16(a.message.p) != 0x0102))
				abort();
		}
	}
	dns_tcp_client_end(c, ERR_CLOSED);
	while (dns_tcp_client_poll(c, &a))
		got++;
	if (got != 7)
		abort();
	dns_tcp_client_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	size_t cut = data[0] == 0 ? DNS_TCP_CHUNK_MAX : data[0];
	serve(SPAN(data + 1, size - 1), cut);
	ask(SPAN(data + 1, size - 1), cut);
	return 0;
}
