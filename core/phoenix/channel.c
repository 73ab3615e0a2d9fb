#include "core/phoenix/channel_int.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_MIN 16u
#define EVENTS_CONTROL 8u /* room kept free of messages, so that control events are never lost */
#define EVENTS_MAX 65536u

/* --- events ------------------------------------------------------------------------------------------------------------------------------ */

static bool events_grow(struct channel *c)
{
	u32 cap = c->event_cap ? c->event_cap * 2 : EVENTS_MIN;
	struct channel_event *p = cap <= EVENTS_MAX ? calloc(cap, sizeof(*p)) : NULL;

	if (!p)
		return false;
	for (u32 i = 0; i < c->event_n; i++)
		p[i] = c->event[(c->event_first + i) % c->event_cap];
	free(c->event);
	c->event = p;
	c->event_first = 0;
	c->event_cap = cap;
	return true;
}

struct channel_event *channel_emit(struct channel *c, enum channel_event_type type)
{
	static struct channel_event lost;
	u32 keep = type == CHANNEL_MESSAGE ? EVENTS_CONTROL : 0;

	if (c->event_n + keep >= c->event_cap && !events_grow(c)) {
		if (type == CHANNEL_MESSAGE)
			return NULL;
		if (c->event_n == c->event_cap)
			return &lost;
	}
	struct channel_event *e = &c->event[(c->event_first + c->event_n++) % c->event_cap];
	*e = (struct channel_event){ .type = type };
	return e;
}

bool channel_poll_event(struct channel *c, struct channel_event *out)
{
	if (c->event_n == 0)
		return false;
	*out = c->event[c->event_first];
	c->event_first = (c->event_first + 1) % c->event_cap;
	c->event_n--;
	return true;
}

/* --- life ----------------------------------------------------------------------------------------------------------------------------------- */

/* Bytes of `from` for which `keeps` holds; false when they do not fit. */
static bool copy_filtered(char *to, size_t cap, const char *from, bool (*keeps)(u8))
{
	size_t n = 0;

	for (; from && *from; from++) {
		if (!keeps((u8)*from))
			continue;
		if (n + 1 >= cap)
			return false;
		to[n++] = *from;
	}
	to[n] = 0;
	return true;
}

static bool is_no_space(u8 c)
{
	return c != ' ' && (c < '\t' || c > '\r');
}

static bool is_printable(u8 c)
{
	return c >= 0x20 && c < 0x7f;
}

static bool token_is_header_value(const char *token)
{
	for (; *token; token++)
		if (!is_printable((u8)*token))
			return false;
	return true;
}

static int configure(struct channel *c, const struct channel_config *cfg, const char **why)
{
	int rc = channel_target_init(&c->target, cfg, why);

	if (rc)
		return rc;
	*why = "the token is too long";
	if (!copy_filtered(c->token, sizeof(c->token), cfg->token, is_no_space))
		return ERR_INVAL;
	*why = "the token is empty";
	if (c->token[0] == 0)
		return ERR_INVAL;
	*why = "the token holds bytes that are not printable ASCII";
	if (!token_is_header_value(c->token))
		return ERR_INVAL;
	*why = "the user agent is too long";
	if (!copy_filtered(c->user_agent, sizeof(c->user_agent), cfg->user_agent, is_printable))
		return ERR_INVAL;
	*why = "the stamp secret is too long";
	if (!copy_filtered(c->stamp_secret, sizeof(c->stamp_secret), cfg->stamp_secret, is_printable))
		return ERR_INVAL;
	*why = NULL;
	c->role = cfg->role;
	c->rng = cfg->rng;
	c->max_partition = cfg->max_partition;
	return 0;
}

int channel_new(const struct channel_config *cfg, struct channel **out, const char **why)
{
	struct channel *c = calloc(1, sizeof(*c));
	int rc;

	*out = NULL;
	*why = "out of memory";
	if (!c)
		return ERR_NOMEM;
	sendq_init(&c->sendq, CHANNEL_QUEUE_MAX);
	c->parser = http_parser_new(HTTP_RESPONSE, 0);
	rc = c->parser && events_grow(c) ? configure(c, cfg, why) : ERR_NOMEM;
	if (rc)
		channel_free(c);
	else
		*out = c;
	return rc;
}

void channel_free(struct channel *c)
{
	struct channel_event e;

	if (!c)
		return;
	while (channel_poll_event(c, &e))
		msg_free(&e.message);
	free(c->event);
	sendq_clear(&c->sendq);
	http_parser_free(c->parser);
	ws_free(c->ws);
	sodium_memzero(c, sizeof(*c));
	free(c);
}

const char *channel_host(const struct channel *c)
{
	return c->target.host;
}

u16 channel_port(const struct channel *c)
{
	return c->target.port;
}

bool channel_is_tls(const struct channel *c)
{
	return c->target.is_tls;
}

enum channel_state channel_state(const struct channel *c)
{
	return c->state;
}

const struct channel_stats *channel_stats(const struct channel *c)
{
	return &c->stats;
}

/* --- connecting, giving up -------------------------------------------------------------------------------------------------------------------- */

static void drop_transport(struct channel *c)
{
	if (c->has_transport)
		channel_emit(c, CHANNEL_DROP);
	c->has_transport = false;
	ws_free(c->ws);
	c->ws = NULL;
	sodium_memzero(c->request, c->request_len); /* the token */
	c->request_len = c->request_done = 0;
	sendq_clear(&c->sendq);
	c->join_is_queued = c->join_is_pending = c->has_joined = false;
	c->beats = (struct heartbeats){ .due = 0 };
}

static void connect_now(struct channel *c, u64 now)
{
	drop_transport(c);
	c->state = CHANNEL_CONNECTING;
	c->deadline = now + CHANNEL_ATTEMPT_TIMEOUT;
	c->has_transport = true;
	c->stats.attempts++;
	channel_emit(c, CHANNEL_CONNECT);
}

void channel_give_up(struct channel *c, enum channel_fatal fatal, int err, const char *text)
{
	drop_transport(c);
	c->state = CHANNEL_CLOSED;
	struct channel_event *e = channel_emit(c, CHANNEL_FATAL);
	e->fatal = fatal;
	e->err = err;
	snprintf(e->text, sizeof(e->text), "%s", text);
}

void channel_wait(struct channel *c, u64 now, u64 delay, int err, const char *text)
{
	drop_transport(c);
	c->state = CHANNEL_WAITING;
	c->deadline = time_add(now, delay);
	c->stats.hiccups++;
	struct channel_event *e = channel_emit(c, CHANNEL_HICCUP);
	e->retry_at = c->deadline;
	e->err = err;
	snprintf(e->text, sizeof(e->text), "%s", text);
}

void channel_hiccup(struct channel *c, u64 now, int err, const char *text)
{
	u64 delay = backoff_next(&c->backoff, now, c->was_joined, c->max_partition, c->rng);

	if (delay == TIME_NEVER)
		channel_give_up(c, CHANNEL_MAX_RETRIES, err, text);
	else
		channel_wait(c, now, delay, err, text);
}

void channel_begin_flush(struct channel *c, u64 now, enum after_flush then)
{
	c->state = CHANNEL_FLUSHING;
	c->after_flush = then;
	c->deadline = now + CHANNEL_FLUSH_TIMEOUT;
}

void channel_end_flush(struct channel *c, u64 now)
{
	switch (c->after_flush) {
	case THEN_CONNECT:
		connect_now(c, now);
		break;
	case THEN_HICCUP:
		channel_hiccup(c, now, ERR_CLOSED, c->flush_reason);
		break;
	case THEN_CLOSED:
		drop_transport(c);
		c->state = CHANNEL_CLOSED;
		break;
	}
}

bool channel_is_connected(const struct channel *c)
{
	return c->state == CHANNEL_JOINING || c->state == CHANNEL_UP;
}

static void set_key(struct channel *c, const u8 *public_key)
{
	if (!public_key)
		return;
	memcpy(c->public_key, public_key, MSG_KEY);
	c->has_key = true;
}

void channel_start(struct channel *c, u64 now, const u8 *public_key)
{
	if (c->state != CHANNEL_IDLE)
		return;
	set_key(c, public_key);
	connect_now(c, now);
}

void channel_reconnect(struct channel *c, u64 now, const u8 *public_key)
{
	if (c->state == CHANNEL_CLOSED || (c->state == CHANNEL_FLUSHING && c->after_flush == THEN_CLOSED))
		return;
	set_key(c, public_key);
	backoff_clear(&c->backoff);
	if (channel_is_connected(c) && ws_close(c->ws, 1000, NULL) == 0)
		channel_begin_flush(c, now, THEN_CONNECT);
	else if (c->state == CHANNEL_FLUSHING)
		c->after_flush = THEN_CONNECT;
	else
		connect_now(c, now);
}

void channel_close(struct channel *c, u64 now)
{
	if (c->state == CHANNEL_CLOSED)
		return;
	if (channel_is_connected(c) && ws_close(c->ws, 1000, NULL) == 0) {
		channel_begin_flush(c, now, THEN_CLOSED);
	} else if (c->state == CHANNEL_FLUSHING) {
		c->after_flush = THEN_CLOSED;
	} else {
		drop_transport(c);
		c->state = CHANNEL_CLOSED;
	}
}

void channel_failed(struct channel *c, u64 now, int err, const char *what)
{
	if (c->state == CHANNEL_FLUSHING)
		channel_end_flush(c, now);
	else if (c->has_transport)
		channel_hiccup(c, now, err, what);
}

/* --- time ----------------------------------------------------------------------------------------------------------------------------------------------- */

u64 channel_next_timeout(const struct channel *c)
{
	u64 t;

	switch (c->state) {
	case CHANNEL_IDLE:
	case CHANNEL_CLOSED:
		return TIME_NEVER;
	case CHANNEL_WAITING:
	case CHANNEL_CONNECTING:
	case CHANNEL_UPGRADING:
	case CHANNEL_FLUSHING:
		return c->deadline;
	case CHANNEL_JOINING:
	case CHANNEL_UP:
		break;
	}
	bool is_writing = ws_output(c->ws).n > 0;
	t = is_writing ? c->last_progress + CHANNEL_STALL_TIMEOUT : c->beats.due;
	return c->join_is_pending ? time_min(t, c->join_deadline) : t;
}

static void connected_timeout(struct channel *c, u64 now)
{
	if (c->join_is_pending && now >= c->join_deadline)
		channel_hiccup(c, now, ERR_TIMEOUT, "the portal did not answer the join");
	else if (ws_output(c->ws).n > 0 && now >= c->last_progress + CHANNEL_STALL_TIMEOUT)
		channel_hiccup(c, now, ERR_TIMEOUT, "nothing can be written to the portal");
	else
		channel_fill_output(c, now);
}

void channel_timeout(struct channel *c, u64 now)
{
	if (now < channel_next_timeout(c))
		return;
	switch (c->state) {
	case CHANNEL_WAITING:
		connect_now(c, now);
		break;
	case CHANNEL_CONNECTING:
		channel_hiccup(c, now, ERR_TIMEOUT, "the portal could not be reached in time");
		break;
	case CHANNEL_UPGRADING:
		channel_hiccup(c, now, ERR_TIMEOUT, "the portal did not answer the WebSocket upgrade");
		break;
	case CHANNEL_FLUSHING:
		channel_end_flush(c, now);
		break;
	case CHANNEL_JOINING:
	case CHANNEL_UP:
		connected_timeout(c, now);
		break;
	case CHANNEL_IDLE:
	case CHANNEL_CLOSED:
		break;
	}
}
