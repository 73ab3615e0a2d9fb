/* A peer's channel whose portal answers the upgrade properly and then says whatever the input says; and one that answers with the input. */
#include "core/http/websocket.h"
#include "core/phoenix/channel.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void drain(struct channel *c, u64 now)
{
	struct channel_event e;

	while (channel_output(c).n > 0)
		channel_output_done(c, now, channel_output(c).n);
	while (channel_poll_event(c, &e))
		msg_free(&e.message);
}

static void run(const u8 *data, size_t n, bool answers_upgrade)
{
	struct rng_seeded rng;
	struct channel_config cfg = { .role = (enum msg_role)(n > 0 ? data[0] % 3 : 0), .api_url = "wss://h", .token = "t", .user_agent = "u",
				      .stamp_secret = "s", .max_partition = SEC(86400), .rng = &rng.rng };
	struct channel *c;
	const char *why;
	u64 now = SEC(1);

	rng_seeded_init(&rng, 1);
	if (channel_new(&cfg, &c, &why))
		abort();
	channel_start(c, now, NULL);
	channel_opened(c, now);
	if (answers_upgrade) {
		char accept[WS_ACCEPT_STRLEN], response[300];
		const char *key = strstr((const char *)channel_output(c).p, "Key: ") + 5;
		ws_accept(SPAN(key, WS_KEY_STRLEN - 1), accept);
		int len = snprintf(response, sizeof(response),
				   "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
		channel_input(c, now, 0, SPAN(response, (size_t)len));
		if (channel_state(c) != CHANNEL_JOINING)
			abort();
	}
	drain(c, now);
	for (size_t at = 0; at < n; at += 64) { /* time passes between pieces */
		channel_input(c, now, 0, SPAN(data + at, MIN(n - at, (size_t)64)));
		drain(c, now);
		now += SEC(1);
		channel_timeout(c, now);
		drain(c, now);
	}
	channel_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	run(data, n, true);
	run(data, n, false);
	return 0;
}
