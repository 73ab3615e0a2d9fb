/* The portal's end: an upgrade request and, behind a proper one, whatever a peer may send. */
#include "core/http/http.h"
#include "core/phoenix/server.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

static void upgrade(const u8 *data, size_t n)
{
	struct http_parser *p = http_parser_new(HTTP_REQUEST, 0);
	struct phx_upgrade u;
	struct span body;
	const char *detail;
	char text[512];
	size_t used;

	if (p && http_parser_input(p, SPAN(data, n), &used, &body) == HTTP_HEAD && phx_upgrade_read(http_parser_head(p), &u, &detail) == 0 &&
	    phx_upgrade_check(&u, text, sizeof(text)) > 999)
		abort();
	http_parser_free(p);
}

static void talk(enum msg_role role, const u8 *data, size_t n)
{
	struct rng_seeded rng;
	struct phx_event e;
	u64 now = SEC(1);

	rng_seeded_init(&rng, 1);
	struct phx_socket *s = phx_socket_new(role, n % 2 ? MSG_V1 : MSG_V2, &rng.rng, now);
	for (size_t at = 0; s && at < n; at += 64) {
		phx_socket_input(s, now, SPAN(data + at, MIN(n - at, (size_t)64)));
		while (phx_socket_poll(s, &e)) {
			if (e.type == PHX_JOIN)
				phx_join_ok(s);
			if (e.type == PHX_MESSAGE)
				msg_free(&e.message);
		}
		phx_socket_output_done(s, phx_socket_output(s).n);
		now += SEC(1);
		phx_socket_timeout(s, now);
	}
	phx_socket_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	upgrade(data, n);
	for (enum msg_role role = MSG_ROLE_CLIENT; role <= MSG_ROLE_RELAY; role++)
		talk(role, data, n);
	return 0;
}
