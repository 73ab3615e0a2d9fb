/* core/phoenix/channel.h: a peer's (client, gateway, relay) connection to the portal, sans-IO (spec 10 §1, §3, §4).
 *
 * The channel decides when to connect, what to say and when to give up; its owner finds addresses, races TCP, runs TLS and moves bytes.
 *
 *  channel_start()
 *      │        delay over                  channel_opened()              101                     join acknowledged
 *  [waiting] ─────────────▶ [connecting] ─────────────▶ [upgrading] ─────────────▶ [joining] ─────────────────────▶ [joined]
 *      ▲                         │ channel_failed(), 15 s   │ refused, 15 s           │ 5 s, no answer               │
 *      │ hiccup: delay by        └──────────────┬───────────┴─────────────────────────┴──────────────────────────────┘
 *      │ backoff or Retry-After                 │ EOF, Close, phx_close, phx_error, > 3 unanswered heartbeats
 *      └────────────────────────────────────────┤
 *                                               │ 401, disconnect(token_expired), refused join, partition budget spent
 *                                               ▼
 *                                           [closed]   for ever
 *
 * channel_reconnect() leads from any state but [closed] through [flushing] (Close(1000) is written, at most 1 s) to [connecting] at once.
 *
 * Owner's part, after each call of any door: drain channel_poll_event(), write channel_output(), ask channel_next_timeout().
 * `now` monotonic ns, `wall` Unix ns (Retry-After dates only).
 */
#pragma once

#include "core/base/rng.h"
#include "core/base/time.h"
#include "core/phoenix/messages.h"

#define CHANNEL_HEARTBEAT SEC(10)        /* spec 10 §3.3, whatever else is sent */
#define CHANNEL_MISSED_MAX 3u            /* more unanswered heartbeats than this end the connection */
#define CHANNEL_JOIN_TIMEOUT SEC(5)
#define CHANNEL_ATTEMPT_TIMEOUT SEC(15)  /* addresses, TCP, TLS and upgrade together, spec 10 §1.6 */
#define CHANNEL_FLUSH_TIMEOUT SEC(1)     /* to write Close before a reconnect */
#define CHANNEL_STALL_TIMEOUT SEC(45)    /* not one byte could be written */
#define CHANNEL_FIRST_RETRY SEC(1)       /* before the first join, spec 10 §4.3 */
#define CHANNEL_FIRST_BUDGET SEC(15)
#define CHANNEL_BACKOFF_MIN MSEC(500)
#define CHANNEL_BACKOFF_MAX SEC(60)      /* before jitter of ±50 % */
#define CHANNEL_RETRY_AFTER_MIN MSEC(100) /* "Retry-After: 0" must not become a busy loop */
#define CHANNEL_RETRY_AFTER_MAX SEC(86400)
#define CHANNEL_PARTITION_DEFAULT SEC(86400) /* gateway and relay; a client never gives up by default: TIME_NEVER */
#define CHANNEL_QUEUE_MAX 4096u          /* messages waiting for the join or the socket */
#define CHANNEL_PARAMS_MAX 12u

struct channel;

struct channel_param {
	const char *name;
	const char *value;
};

/* All texts are copied. */
struct channel_config {
	enum msg_role role;
	const char *api_url;    /* base URL, spec 10 §1.1; http, https, ws, wss */
	const char *token;      /* white space in it is removed */
	const char *user_agent; /* non-ASCII bytes in it are removed */
	/* Query parameters in the order of spec 10 §1.2, without public_key. value NULL: not sent. */
	struct channel_param params[CHANNEL_PARAMS_MAX];
	size_t n_params;
	const char *stamp_secret; /* relay */
	u64 max_partition;        /* ns after the first failure since the last join; TIME_NEVER = never give up */
	struct rng *rng;          /* borrowed */
};

/* ERR_INVAL, *why says what is wrong (a literal): URL, token, too long. */
int channel_new(const struct channel_config *cfg, struct channel **out, const char **why) MUST_CHECK;
void channel_free(struct channel *c);

/* Whom to connect to. The host is without brackets. */
const char *channel_host(const struct channel *c);
u16 channel_port(const struct channel *c); /* spec 10 §1.1: 443 unless explicit; 80 for ws without port */
bool channel_is_tls(const struct channel *c);

/* --- doors --- */
/* First attempt at once. `public_key` NULL for relays. */
void channel_start(struct channel *c, u64 now, const u8 *public_key);
/* A new attempt at once, with an own key from now on (NULL: the same); clears the backoff (spec 10 §14). */
void channel_reconnect(struct channel *c, u64 now, const u8 *public_key);
/* The transport (TCP, and TLS if any) of the present attempt is up. */
void channel_opened(struct channel *c, u64 now);
/* The present attempt failed or the connection ended: err as reported, `what` for people ("TCP connection refused"). */
void channel_failed(struct channel *c, u64 now, int err, const char *what);
void channel_input(struct channel *c, u64 now, u64 wall, struct span bytes);
struct span channel_output(const struct channel *c);
void channel_output_done(struct channel *c, u64 now, size_t n);
void channel_timeout(struct channel *c, u64 now);
u64 channel_next_timeout(const struct channel *c);

/* ERR_STATE: not connected, the message is lost (spec 10 §3.4). ERR_EXISTS: the same one is still queued; nothing is lost. ERR_LIMIT,
 * ERR_INVAL, ERR_NOMEM. Queued messages leave after the join is acknowledged. */
int channel_send(struct channel *c, u64 now, const struct portal_message *m) MUST_CHECK;

/* Polite end: Close(1000) is queued; no reconnect, CHANNEL_DROP follows when it is written or after 1 s. */
void channel_close(struct channel *c, u64 now);

enum channel_event_type {
	CHANNEL_CONNECT, /* resolve, race TCP, TLS; then channel_opened() or channel_failed() */
	CHANNEL_DROP,    /* drop the transport, or abandon the attempt; always before the next CHANNEL_CONNECT */
	CHANNEL_JOINED,
	CHANNEL_MESSAGE, /* `message`: the receiver's now, msg_free() it */
	CHANNEL_HICCUP,  /* disconnected; next attempt at `retry_at` */
	CHANNEL_FATAL,   /* given up for good */
};

enum channel_fatal {
	CHANNEL_INVALID_TOKEN, /* 401 or disconnect(token_expired) */
	CHANNEL_LOGIN_FAILED,  /* join refused */
	CHANNEL_MAX_RETRIES,   /* partition budget spent */
};

struct channel_event {
	enum channel_event_type type;
	struct portal_message message; /* CHANNEL_MESSAGE */
	u64 retry_at;                  /* CHANNEL_HICCUP */
	enum channel_fatal fatal;      /* CHANNEL_FATAL */
	int err;                       /* CHANNEL_HICCUP, CHANNEL_FATAL */
	char text[160];                /* the reason, for people */
};

bool channel_poll_event(struct channel *c, struct channel_event *out);

enum channel_state {
	CHANNEL_IDLE, /* before channel_start() */
	CHANNEL_WAITING,
	CHANNEL_CONNECTING,
	CHANNEL_UPGRADING,
	CHANNEL_JOINING,
	CHANNEL_UP, /* joined */
	CHANNEL_FLUSHING,
	CHANNEL_CLOSED,
};
enum channel_state channel_state(const struct channel *c);

struct channel_stats {
	u64 attempts, hiccups, joins;
	u64 rx_messages, rx_ignored, rx_invalid; /* decoded; unknown event; malformed */
	u64 tx_messages, tx_duplicates, tx_lost, queue_full;
};
const struct channel_stats *channel_stats(const struct channel *c);
