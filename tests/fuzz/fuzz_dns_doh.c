/* What a resolver could send inside TLS, over HTTP/2 and HTTP/1.1, while queries are asked, cancelled and time passes. However it ends, each
 * query that was asked and not cancelled is reported exactly once, and an answer is a DNS message with status 200.
 *
 * Byte 0: bit 0 chooses HTTP/1.1, bits 1 and 2 say what happens between the pieces; byte 1: size of the pieces. */
#include "core/dns/doh_int.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#define QUERIES 6u

static u32 pending; /* bit set */

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void drain(struct doh *d)
{
	struct doh_answer a;
	struct span s;

	while ((s = doh_output(d)).n > 0)
		doh_output_done(d, s.n);
	while (doh_poll_answer(d, &a)) {
		require(a.id < QUERIES && pending & 1u << a.id);
		pending &= ~(1u << a.id);
		if (a.error == 0)
			require(a.status == 200 && a.message.n >= 12 && a.message.n <= DOH_ANSWER_MAX);
		else
			require(a.message.n == 0);
	}
	require(doh_stats(d)->pending == (u32)__builtin_popcount(pending));
}

static void ask(struct doh *d, u32 id)
{
	static const u8 query[] = { 0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'x', 0, 0, 1, 0, 1 };

	if (!(pending & 1u << id) && doh_ask(d, SEC(1), id, SPAN(query, sizeof(query))) == 0)
		pending |= 1u << id;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct doh_url url;
	struct doh *d;
	u64 now = SEC(1);

	if (n < 2 || doh_url_parse(SPAN_STR("https://dns.example/dns-query"), &url) || doh_new_plain(&url, !(data[0] & 1), now, &d))
		return 0;
	u8 plot = data[0];
	size_t piece = data[1] ? data[1] : n;
	pending = 0;
	data += 2;
	n -= 2;
	for (u32 i = 0; i < QUERIES; i++)
		ask(d, i);
	drain(d);
	for (u32 turn = 0; n > 0; turn++) {
		size_t take = n < piece ? n : piece;
		doh_input(d, now, SPAN(data, take));
		drain(d);
		data += take;
		n -= take;
		if (plot & 2 && turn % 4 == 1) {
			doh_cancel(d, now, turn % QUERIES);
			pending &= ~(1u << turn % QUERIES);
			drain(d);
			ask(d, turn % QUERIES);
		}
		if (plot & 4 && turn % 3 == 2) {
			now += MSEC(900);
			doh_timeout(d, now);
			drain(d);
		}
	}
	if (plot & 2)
		doh_close(d, now);
	doh_input_eof(d, now);
	drain(d);
	require(pending == 0 && doh_is_over(d) && d->bodies == 0);
	doh_free(d);
	return 0;
}
