/* HTTP/1.1 requests and responses, fed in two pieces cut where the first byte says; both cuts must agree. */
#include "core/http/http.h"
#include "core/http/websocket.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

struct result {
	int rc;
	u64 body;
	size_t consumed;
};

static struct result parse(enum http_kind kind, const u8 *data, size_t n, size_t cut)
{
	struct http_parser *p = http_parser_new(kind, 100000);
	struct result r = { HTTP_MORE, 0, 0 };
	size_t end = cut;

	while (p) {
		size_t used;
		struct span body, key;
		r.rc = http_parser_input(p, SPAN(data + r.consumed, end - r.consumed), &used, &body);
		r.consumed += used;
		r.body += body.n;
		if (r.rc == HTTP_HEAD) {
			const struct http_head *h = http_parser_head(p);
			u64 secs;
			int sum = ws_check_request(h, &key) + http_retry_after(http_field(h, "retry-after"), 1800000000, &secs);
			(void)(sum + ws_check_response(h, "dGhlIHNhbXBsZSBub25jZQ=="));
		}
		if (r.rc < 0 || r.rc == HTTP_DONE || (r.rc == HTTP_MORE && end == n))
			break;
		if (r.consumed == end)
			end = n;
	}
	http_parser_free(p);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n == 0)
		return 0;
	size_t cut = data[0] % n;
	for (enum http_kind kind = HTTP_REQUEST; kind <= HTTP_RESPONSE; kind++) {
		struct result whole = parse(kind, data + 1, n - 1, n - 1), pieces = parse(kind, data + 1, n - 1, cut);
		if (whole.rc != pieces.rc || (whole.rc >= 0 && (whole.body != pieces.body || whole.consumed != pieces.consumed)))
			abort();
	}
	return 0;
}
