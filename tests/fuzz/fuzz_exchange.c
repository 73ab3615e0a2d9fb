/* Bytes of a browser, in one piece and in two: the whole way from the connection through router, forms, cookies and CSRF to the answer. However they
 * are cut, the same comes back. */
#include "applets/portal/http/exchange_int.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/http_routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the worlds of unit tests expect of their runner: a failed expectation is a finding. */
void test_fail(const char *file, int line, const char *fmt, ...)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, fmt);
	abort();
}

bool test_expect_eq(const char *file, int line, const char *ea, const char *eb, long long a, long long b)
{
	if (a != b)
		test_fail(file, line, ea, eb);
	return true;
}

bool test_expect_str(const char *file, int line, const char *ea, const char *a, const char *b)
{
	if (strcmp(a, b) != 0)
		test_fail(file, line, ea);
	return true;
}

static void fill_zero(struct rng *rng, void *buf, size_t n)
{
	(void)rng;
	memset(buf, 0, n);
}

/* Without randomness in its answers. */
static struct http_world *world(void)
{
	static struct rng zero = { .fill = fill_zero };
	static struct http_world *w;

	if (!w) {
		w = http_new_with_routes();
		w->portal->portal.rng = &zero;
		memset(w->server.cookie_key, 7, sizeof(w->server.cookie_key));
	}
	return w;
}

static char *talk(struct http_world *w, const uint8_t *data, size_t size, size_t cut)
{
	struct strbuf got = { 0 };
	int fd = http_dial(w);
	bool closed = false;

	for (size_t at = 0; at < size && !closed;) {
		size_t n = at < cut ? MIN(cut, size) - at : size - at;
		ssize_t sent = write(fd, data + at, n);
		if (sent <= 0)
			break;
		at += (size_t)sent;
		strbuf_puts(&got, http_recv(w, fd, &closed));
	}
	http_wait(w, SEC(3)); /* what is sent at an instant */
	strbuf_puts(&got, http_recv(w, fd, &closed));
	close(fd);
	conn_free_all(&w->server);
	return strbuf_take(&got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_world *w;
	char *whole, *pieces;
	u64 wall;

	if (size < 2 || size > 60000)
		return 0;
	w = world();
	wall = portal_wall;
	whole = talk(w, data + 1, size - 1, 0);
	portal_wall = wall; /* the same Date */
	http_wait(w, 0);
	pieces = talk(w, data + 1, size - 1, data[0] % size);
	if (!whole || !pieces || strcmp(whole, pieces) != 0)
		abort();
	free(whole);
	free(pieces);
	return 0;
}
