/* tests/unit/channel_world.h: the peer's end of the portal connection in virtual time, against a portal that says exactly what the test wants.
 * Private to the tests of core/phoenix/channel.h; included once per program. */
#pragma once

#include "core/http/http.h"
#include "core/http/websocket.h"
#include "core/phoenix/channel.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WALL SEC(1800000000ull)
#define BOOT SEC(1000)

static struct world {
	struct rng_seeded rng;
	struct channel *c;
	u64 now;
	struct ws *ws;        /* the portal's end */
	bool is_connected;    /* between CONNECT and DROP */
	u32 connects, drops, joins, hiccups, messages, fatals;
	enum msg_type last_message;
	struct channel_event last; /* hiccup or fatal */
	u64 connected_at;
	char request[9000];
	char heard[64][700];  /* frames the peer sent */
	u32 n_heard;
	bool got_close;
	u16 close_code;
} w;

static const u8 key[32] = { 0x9c, 0x2a, 0x36, 0xa5, 0xfd, 0xec };

static inline struct channel_config config(enum msg_role role)
{
	struct channel_config cfg = { .role = role, .api_url = "wss://portal.example:8443/", .token = " .SFMy\nNTY.t ", .user_agent = "Debian/12.0.0 gateway/1.5.2 (x86_64; 6.1.0-\xc3\xa4)",
				      .max_partition = SEC(86400), .rng = &w.rng.rng };

	cfg.params[cfg.n_params++] = (struct channel_param){ "external_id", "lab-gw1" };
	cfg.params[cfg.n_params++] = (struct channel_param){ "name", "gw 1" };
	cfg.params[cfg.n_params++] = (struct channel_param){ "device_serial", NULL };
	if (role == MSG_ROLE_RELAY)
		cfg.stamp_secret = "5ef3";
	return cfg;
}

static inline void drain_events(void)
{
	struct channel_event e;

	while (channel_poll_event(w.c, &e)) {
		switch (e.type) {
		case CHANNEL_CONNECT:
			EXPECT(!w.is_connected); /* spec10_37: never two sockets at a time */
			w.is_connected = true;
			w.connects++;
			w.connected_at = w.now;
			break;
		case CHANNEL_DROP:
			EXPECT(w.is_connected);
			w.is_connected = false;
			w.drops++;
			break;
		case CHANNEL_JOINED:
			w.joins++;
			break;
		case CHANNEL_MESSAGE:
			w.messages++;
			w.last_message = e.message.type;
			msg_free(&e.message);
			break;
		case CHANNEL_HICCUP:
			w.hiccups++;
			w.last = e;
			break;
		case CHANNEL_FATAL:
			w.fatals++;
			w.last = e;
			break;
		}
	}
}

static inline void begin_with(const struct channel_config *cfg)
{
	const char *why;

	memset(&w, 0, sizeof(w));
	w.now = BOOT;
	rng_seeded_init(&w.rng, 11);
	struct channel_config own = *cfg;
	own.rng = &w.rng.rng;
	EXPECT_EQ(channel_new(&own, &w.c, &why), 0);
	channel_start(w.c, w.now, own.role == MSG_ROLE_RELAY ? NULL : key);
	drain_events();
}

static inline void begin(enum msg_role role)
{
	struct channel_config cfg = config(role);

	begin_with(&cfg);
}

static inline void end(void)
{
	ws_free(w.ws);
	w.ws = NULL;
	channel_free(w.c);
}

/* Takes what the peer writes; after the upgrade as frames. */
static inline void listen(void)
{
	struct span out;

	drain_events();
	while (w.is_connected && (out = channel_output(w.c)).n > 0) {
		struct ws_event ev;
		size_t used = out.n;
		if (!w.ws) {
			size_t n = MIN(out.n, sizeof(w.request) - 1);
			memcpy(w.request, out.p, n);
			w.request[n] = 0;
		} else {
			if (ws_input(w.ws, out, &used, &ev))
				break;
			if (ev.type == WS_TEXT && w.n_heard < ARRAY_LEN(w.heard)) {
				size_t n = MIN(ev.data.n, sizeof(w.heard[0]) - 1);
				memcpy(w.heard[w.n_heard], ev.data.p, n);
				w.heard[w.n_heard++][n] = 0;
			} else if (ev.type == WS_CLOSE) {
				w.got_close = true;
				w.close_code = ev.code;
			}
		}
		channel_output_done(w.c, w.now, used);
		drain_events();
	}
}

/* Runs until `until`, the portal being silent; the peer is asked for its deadlines as the loop would. */
static inline void run_until(u64 until)
{
	for (int guard = 0; guard < 100000; guard++) {
		listen();
		u64 t = channel_next_timeout(w.c);
		if (t > until)
			break;
		w.now = MAX(w.now, t);
		channel_timeout(w.c, w.now);
		drain_events();
	}
	w.now = until;
	listen();
}

static inline void portal_bytes(const char *text)
{
	channel_input(w.c, w.now, WALL, SPAN(text, strlen(text)));
	listen();
}

static inline void accept_upgrade(void)
{
	char key_text[64], accept[WS_ACCEPT_STRLEN], response[400];
	const char *p;

	ws_free(w.ws);
	w.ws = NULL;
	EXPECT_EQ(channel_state(w.c), CHANNEL_CONNECTING);
	channel_opened(w.c, w.now);
	listen();
	p = strstr(w.request, "Sec-WebSocket-Key: ");
	if (!EXPECT(p != NULL))
		return;
	sscanf(p, "Sec-WebSocket-Key: %63s", key_text);
	ws_accept(SPAN(key_text, strlen(key_text)), accept);
	snprintf(response, sizeof(response), "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
	w.ws = ws_new(WS_SERVER, NULL, &w.rng.rng);
	w.n_heard = 0;
	portal_bytes(response);
}

static inline void flush_portal(void)
{
	while (w.ws && ws_output(w.ws).n > 0 && w.is_connected) {
		struct span out = ws_output(w.ws);
		channel_input(w.c, w.now, WALL, SPAN(out.p, 1)); /* the worst the network can do */
		ws_output_done(w.ws, 1);
		drain_events();
	}
	listen();
}

static inline void say(const char *frame)
{
	EXPECT_EQ(ws_send_text(w.ws, SPAN(frame, strlen(frame))), 0);
	flush_portal();
}

static inline void reply_ok(u64 ref, const char *topic)
{
	char text[200];

	snprintf(text, sizeof(text), "{\"event\":\"phx_reply\",\"payload\":{\"response\":{},\"status\":\"ok\"},\"ref\":%llu,\"topic\":\"%s\"}", (unsigned long long)ref, topic);
	say(text);
}

/* Up to the acknowledged join of a gateway. */
static inline void join(void)
{
	accept_upgrade();
	reply_ok(0, "gateway");
	EXPECT_EQ(channel_state(w.c), CHANNEL_UP);
}

static inline int send_flow_authorized(const char *ref)
{
	struct portal_message m = { .type = MSG_FLOW_AUTHORIZED, .flow_authorized = { ref } };
	int rc = channel_send(w.c, w.now, &m);

	listen();
	return rc;
}

static inline const char *last_heard(void)
{
	return w.n_heard > 0 ? w.heard[w.n_heard - 1] : "";
}
