/* core/phoenix/channel_int.h: the inside of a channel; shared by channel*.c only.
 */
#pragma once

#include "core/http/http.h"
#include "core/http/websocket.h"
#include "core/phoenix/backoff.h"
#include "core/phoenix/channel.h"
#include "core/phoenix/channel_url.h"
#include "core/phoenix/sendq.h"

#define CHANNEL_TOKEN_MAX 4096u
#define CHANNEL_USER_AGENT_MAX 256u
#define CHANNEL_SECRET_MAX 128u
#define CHANNEL_REQUEST_MAX (CHANNEL_TARGET_MAX + URL_MAX + CHANNEL_TOKEN_MAX + 1024u)

enum after_flush { THEN_CONNECT, THEN_HICCUP, THEN_CLOSED };

struct heartbeats {
	u64 due;
	bool is_unwritten; /* handed to the socket, not yet out */
	u64 unwritten;
	u64 ref[CHANNEL_MISSED_MAX + 1]; /* written, unanswered; oldest first */
	u32 n;
};

struct channel {
	enum msg_role role;
	enum channel_state state;
	struct rng *rng;
	struct channel_target target;
	char token[CHANNEL_TOKEN_MAX];
	char user_agent[CHANNEL_USER_AGENT_MAX];
	char stamp_secret[CHANNEL_SECRET_MAX];
	bool has_key;
	u8 public_key[MSG_KEY];
	u64 max_partition;
	struct backoff backoff;
	bool was_joined;    /* ever */
	bool has_transport; /* between CHANNEL_CONNECT and CHANNEL_DROP */
	u64 deadline;       /* of waiting, connecting, upgrading, flushing */
	enum after_flush after_flush;
	char flush_reason[128];
	/* upgrade */
	char ws_key[WS_KEY_STRLEN];
	struct http_parser *parser;
	u8 request[CHANNEL_REQUEST_MAX];
	size_t request_len, request_done;
	/* connected */
	struct ws *ws;
	u64 next_ref;
	bool join_is_queued, join_is_pending, has_joined; /* has_joined: on this connection */
	u64 join_ref, join_deadline;
	struct heartbeats beats;
	u64 last_progress; /* of writing */
	struct sendq sendq;
	struct channel_event *event;
	u32 event_first, event_n, event_cap;
	struct channel_stats stats;
};

/* --- channel.c: events and the ways between states --- */
/* NULL for a message that finds no room; never NULL otherwise. */
struct channel_event *channel_emit(struct channel *c, enum channel_event_type type);
void channel_give_up(struct channel *c, enum channel_fatal fatal, int err, const char *text);
/* Disconnected; the next attempt is up to the backoff, or after `delay`. */
void channel_hiccup(struct channel *c, u64 now, int err, const char *text);
void channel_wait(struct channel *c, u64 now, u64 delay, int err, const char *text);
/* What was queued for writing goes out first, for at most CHANNEL_FLUSH_TIMEOUT. */
void channel_begin_flush(struct channel *c, u64 now, enum after_flush then);
void channel_end_flush(struct channel *c, u64 now);
bool channel_is_connected(const struct channel *c);

/* --- channel_upgrade.c --- */
/* True when the WebSocket is open; `*used` bytes belonged to the handshake. */
bool channel_input_upgrade(struct channel *c, u64 now, u64 wall, struct span in, size_t *used);

/* --- channel_io.c --- */
/* Gives the socket the next thing to write when it has nothing. */
void channel_fill_output(struct channel *c, u64 now);
