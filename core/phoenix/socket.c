/* The portal's end of one socket after the upgrade (server.h shows the states; spec 10 §3, §5). */
#include "core/http/websocket.h"
#include "core/phoenix/server.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define CLOSE_PROTOCOL 1002
#define CLOSE_RESTART 1012
#define FRAME_VALUES_MAX 65536u /* JSON values in one frame of a peer */
#define FRAME_BYTES_MAX 1000000u
#define OUT_KEEP 1024u

struct event {
	struct phx_event event;
	struct event *next;
};

struct phx_socket {
	enum msg_role role;
	enum msg_version version;
	struct ws *ws;
	struct json_out out; /* frame being written; reused */
	struct event *first, **last;
	struct phx_ref join_ref;
	enum { UNJOINED, JOIN_ASKED, JOINED } channel;
	bool is_gone, is_ending;
	u64 silent_at;   /* no byte until then: over */
	u64 join_by;     /* no join until then: over */
	u64 close_by;    /* our Close unanswered until then: over */
};

static const char *topic_of(const struct phx_socket *s)
{
	static const char *const topics[] = { "client", "gateway", "relay" };

	return topics[s->role];
}

static u64 silence(const struct phx_socket *s)
{
	return s->role == MSG_ROLE_RELAY ? PHX_SILENCE_RELAY : PHX_SILENCE_PEER;
}

struct phx_socket *phx_socket_new(enum msg_role role, enum msg_version version, struct rng *rng, u64 now)
{
	struct phx_socket *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->role = role;
	s->version = version;
	s->last = &s->first;
	s->ws = ws_new(WS_SERVER, &(struct ws_limits){ FRAME_BYTES_MAX, FRAME_BYTES_MAX }, rng);
	if (!s->ws) {
		free(s);
		return NULL;
	}
	s->silent_at = now + silence(s);
	s->join_by = now + PHX_JOIN_TIMEOUT;
	s->close_by = TIME_NEVER;
	return s;
}

void phx_socket_free(struct phx_socket *s)
{
	struct phx_event e;

	if (!s)
		return;
	while (phx_socket_poll(s, &e))
		if (e.type == PHX_MESSAGE)
			msg_free(&e.message);
	ws_free(s->ws);
	json_out_free(&s->out);
	free(s);
}

/* ---- events ---------------------------------------------------------------------------------------------------------------- */

/* NULL: no memory; the socket is over then. */
static struct phx_event *emit(struct phx_socket *s, enum phx_event_type type)
{
	struct event *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->event.type = type;
	*s->last = e;
	s->last = &e->next;
	return &e->event;
}

bool phx_socket_poll(struct phx_socket *s, struct phx_event *out)
{
	struct event *e = s->first;

	if (!e)
		return false;
	*out = e->event;
	s->first = e->next;
	if (!s->first)
		s->last = &s->first;
	sodium_memzero(e, sizeof(*e));
	free(e);
	return true;
}

static void gone(struct phx_socket *s, int err)
{
	struct phx_event *e;

	if (s->is_gone)
		return;
	s->is_gone = true;
	s->channel = UNJOINED;
	e = emit(s, PHX_GONE);
	if (e)
		e->err = err;
}

/* ---- writing --------------------------------------------------------------------------------------------------------------- */

static int send_frame(struct phx_socket *s)
{
	int rc = s->out.err ? s->out.err : ws_send_text(s->ws, json_text(&s->out));

	if (s->out.cap > OUT_KEEP) /* an init is large; what follows is not, nor soon */
		json_out_free(&s->out);
	else
		json_out_reset(&s->out);
	if (rc == ERR_LIMIT || rc == ERR_NOMEM)
		gone(s, ERR_LIMIT);
	return rc;
}

static void send_reply(struct phx_socket *s, const char *topic, const struct phx_ref *ref, const char *reason)
{
	phx_reply(&s->out, topic, ref, reason);
	(void)send_frame(s);
}

static void send_empty(struct phx_socket *s, const char *event)
{
	phx_push_begin(&s->out, event);
	json_open(&s->out, "payload");
	json_close(&s->out);
	phx_push_end(&s->out, NULL, topic_of(s));
	(void)send_frame(s);
}

static void start_closing(struct phx_socket *s, u64 now, u16 code)
{
	if (s->is_ending || s->is_gone)
		return;
	s->is_ending = true;
	s->channel = UNJOINED;
	s->close_by = now + PHX_CLOSE_TIMEOUT;
	(void)ws_close(s->ws, code, NULL);
}

void phx_join_ok(struct phx_socket *s)
{
	if (s->channel != JOIN_ASKED)
		return;
	s->channel = JOINED;
	s->join_by = TIME_NEVER;
	send_reply(s, topic_of(s), &s->join_ref, NULL);
}

void phx_join_refuse(struct phx_socket *s, const char *reason)
{
	if (s->channel != JOIN_ASKED)
		return;
	s->channel = UNJOINED;
	send_reply(s, topic_of(s), &s->join_ref, reason);
}

void phx_ok(struct phx_socket *s, const struct phx_ref *ref)
{
	send_reply(s, topic_of(s), ref, NULL);
}

void phx_error(struct phx_socket *s, const struct phx_ref *ref, const char *reason)
{
	send_reply(s, topic_of(s), ref, reason);
}

int phx_push(struct phx_socket *s, u64 now, const struct portal_message *m)
{
	const struct msg_wire w = { s->role, MSG_TO_PEER, s->version };
	const char *event = msg_event(w, m->type);
	int rc;

	(void)now;
	if (s->channel != JOINED || s->is_gone)
		return ERR_STATE;
	if (!event)
		return ERR_INVAL;
	phx_push_begin(&s->out, event);
	rc = msg_encode(w, m, &s->out, "payload");
	if (rc) {
		json_out_reset(&s->out);
		return rc;
	}
	phx_push_end(&s->out, NULL, topic_of(s));
	return send_frame(s);
}

void phx_end(struct phx_socket *s, u64 now, const char *disconnect_reason, u16 code)
{
	if (s->is_ending || s->is_gone)
		return;
	if (s->channel == JOINED && disconnect_reason) {
		phx_push_begin(&s->out, "disconnect");
		json_open(&s->out, "payload");
		json_put_str(&s->out, "reason", disconnect_reason);
		json_close(&s->out);
		phx_push_end(&s->out, NULL, topic_of(s));
		(void)send_frame(s);
	}
	if (s->channel == JOINED)
		send_empty(s, "phx_close");
	start_closing(s, now, code);
}

void phx_restart(struct phx_socket *s, u64 now)
{
	start_closing(s, now, CLOSE_RESTART);
}

struct span phx_socket_output(const struct phx_socket *s)
{
	return ws_output(s->ws);
}

void phx_socket_output_done(struct phx_socket *s, size_t n)
{
	ws_output_done(s->ws, n);
}

/* ---- frames of the peer ------------------------------------------------------------------------------------------------------- */

static void leave(struct phx_socket *s)
{
	if (s->channel == UNJOINED)
		return;
	s->channel = UNJOINED;
	send_empty(s, "phx_close");
	(void)emit(s, PHX_LEAVE);
}

static void join(struct phx_socket *s, const struct phx_frame *f)
{
	struct json_get g = JSON_GET;
	struct phx_event *e;
	const char *secret = "";

	leave(s);
	if (s->role == MSG_ROLE_RELAY) {
		secret = json_str(&g, f->payload, "stamp_secret");
		if (g.err || !secret[0] || strlen(secret) >= PHX_PARAM_STRLEN) {
			send_reply(s, topic_of(s), &f->ref, "join crashed");
			return;
		}
	}
	e = emit(s, PHX_JOIN);
	if (!e) {
		gone(s, ERR_NOMEM);
		return;
	}
	memcpy(e->stamp_secret, secret, strlen(secret) + 1);
	s->join_ref = f->ref;
	s->channel = JOIN_ASKED;
}

static void data(struct phx_socket *s, const struct phx_frame *f)
{
	const struct msg_wire w = { s->role, MSG_TO_PORTAL, s->version };
	struct portal_message m;
	struct phx_event *e;

	if (s->channel != JOINED) {
		send_reply(s, f->topic, &f->ref, "unmatched topic");
		return;
	}
	if (msg_decode(w, f->event, f->payload, &m, NULL)) {
		send_reply(s, f->topic, &f->ref, "unknown_message");
		return;
	}
	e = emit(s, PHX_MESSAGE);
	if (!e) {
		msg_free(&m);
		gone(s, ERR_NOMEM);
		return;
	}
	e->message = m;
	e->ref = f->ref;
}

static void handle_frame(struct phx_socket *s, u64 now, struct span text)
{
	static const struct json_limits limits = { FRAME_BYTES_MAX, FRAME_VALUES_MAX, 16 };
	struct phx_frame f;
	int rc = phx_frame_parse(text, &limits, &f, NULL);

	/* the reference drops the connection too (spec 10 §3.1) */
	if (rc || !f.payload || f.ref.kind == PHX_REF_NONE) {
		if (!rc)
			phx_frame_free(&f);
		start_closing(s, now, CLOSE_PROTOCOL);
		return;
	}
	if (strcmp(f.topic, "phoenix") == 0 && strcmp(f.event, "heartbeat") == 0)
		send_reply(s, f.topic, &f.ref, NULL);
	else if (strcmp(f.topic, topic_of(s)) != 0)
		send_reply(s, f.topic, &f.ref, "unmatched topic");
	else if (strcmp(f.event, "phx_join") == 0)
		join(s, &f);
	else if (strcmp(f.event, "phx_leave") == 0) {
		bool was_joined = s->channel == JOINED;
		send_reply(s, f.topic, &f.ref, was_joined ? NULL : "unmatched topic");
		leave(s);
	} else {
		data(s, &f);
	}
	phx_frame_free(&f);
}

void phx_socket_input(struct phx_socket *s, u64 now, struct span bytes)
{
	if (bytes.n > 0)
		s->silent_at = now + silence(s);
	while (bytes.n > 0 && !s->is_gone) {
		struct ws_event ev;
		size_t used = 0;
		int rc = ws_input(s->ws, bytes, &used, &ev);

		bytes = SPAN(bytes.p + used, bytes.n - used);
		if (rc) {
			gone(s, rc);
			return;
		}
		switch (ev.type) {
		case WS_TEXT:
			if (!s->is_ending)
				handle_frame(s, now, ev.data);
			break;
		case WS_CLOSE:
			gone(s, ERR_CLOSED);
			return;
		case WS_NONE:
		case WS_BINARY:
		case WS_PONG:
			break;
		}
	}
}

void phx_socket_eof(struct phx_socket *s, u64 now)
{
	(void)now;
	gone(s, ERR_CLOSED);
}

void phx_socket_timeout(struct phx_socket *s, u64 now)
{
	if (s->is_gone)
		return;
	if (now >= s->close_by) {
		gone(s, ERR_TIMEOUT);
	} else if (now >= s->silent_at || now >= s->join_by) {
		if (!s->is_ending)
			(void)ws_close(s->ws, CLOSE_PROTOCOL, NULL);
		gone(s, ERR_TIMEOUT);
	}
}

u64 phx_socket_next_timeout(const struct phx_socket *s)
{
	return s->is_gone ? TIME_NEVER : time_min(s->close_by, time_min(s->silent_at, s->join_by));
}
