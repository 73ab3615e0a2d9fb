#include "core/phoenix/channel_int.h"
#include "core/phoenix/frame.h"

#include <stdio.h>
#include <string.h>

#define LOG_TARGET "phoenix_channel"
#include "core/base/log.h"

/* --- writing ----------------------------------------------------------------------------------------------------------------------------------------- */

static int write_frame(struct channel *c, const char *topic, const char *event, struct span payload, u64 *ref)
{
	struct json_out o = JSON_OUT;

	*ref = c->next_ref++;
	phx_out_begin(&o, topic, event);
	json_put_raw(&o, "payload", payload);
	phx_out_end(&o, *ref);
	int rc = json_ok(&o) ? ws_send_text(c->ws, json_text(&o)) : o.err;
	json_out_free(&o);
	return rc;
}

static int write_heartbeat(struct channel *c, u64 now)
{
	c->beats.due = now + CHANNEL_HEARTBEAT;
	c->beats.is_unwritten = true;
	return write_frame(c, "phoenix", "heartbeat", SPAN_STR("{}"), &c->beats.unwritten);
}

static int write_join(struct channel *c, u64 now)
{
	struct json_out o = JSON_OUT;
	int rc;

	if (c->role == MSG_ROLE_RELAY) {
		json_open(&o, NULL);
		json_put_str(&o, "stamp_secret", c->stamp_secret);
		json_close(&o);
	} else {
		json_put_null(&o, NULL);
	}
	c->join_is_queued = false;
	c->join_is_pending = true;
	c->join_deadline = now + CHANNEL_JOIN_TIMEOUT;
	rc = json_ok(&o) ? write_frame(c, msg_role_name(c->role), "phx_join", json_text(&o), &c->join_ref) : o.err;
	json_out_free(&o);
	return rc;
}

static int write_message(struct channel *c)
{
	struct sendq_item *item = sendq_take(&c->sendq);
	u64 ref;
	int rc = write_frame(c, msg_role_name(c->role), item->text, SPAN(item->text + item->event_len + 1, item->payload_len), &ref);

	sendq_item_free(item);
	c->stats.tx_messages++;
	return rc;
}

/* One thing at a time, so that a heartbeat never waits behind a queue. Nothing is sent while a join is unanswered: the portal was seen
 * to drop what comes behind it (spec 10 §3.3). */
void channel_fill_output(struct channel *c, u64 now)
{
	int rc = 0;

	while (rc == 0 && channel_is_connected(c) && ws_output(c->ws).n == 0) {
		if (now >= c->beats.due)
			rc = write_heartbeat(c, now);
		else if (c->join_is_queued)
			rc = write_join(c, now);
		else if (!c->join_is_pending && c->sendq.n > 0)
			rc = write_message(c);
		else
			return;
		c->last_progress = now;
	}
	if (rc)
		channel_hiccup(c, now, rc, "a message could not be written");
}

struct span channel_output(const struct channel *c)
{
	if (c->state == CHANNEL_UPGRADING)
		return SPAN(c->request + c->request_done, c->request_len - c->request_done);
	return c->ws ? ws_output(c->ws) : SPAN_NONE;
}

static void heartbeat_is_written(struct channel *c, u64 now)
{
	struct heartbeats *b = &c->beats;

	b->is_unwritten = false;
	b->ref[b->n++] = b->unwritten;
	if (b->n > CHANNEL_MISSED_MAX)
		channel_hiccup(c, now, ERR_TIMEOUT, "the portal does not answer heartbeats");
}

void channel_output_done(struct channel *c, u64 now, size_t n)
{
	if (n == 0)
		return;
	c->last_progress = now;
	if (c->state == CHANNEL_UPGRADING) {
		c->request_done += MIN(n, c->request_len - c->request_done);
		return;
	}
	if (!c->ws)
		return;
	ws_output_done(c->ws, n);
	if (ws_output(c->ws).n > 0)
		return;
	if (c->state == CHANNEL_FLUSHING) {
		channel_end_flush(c, now);
		return;
	}
	if (c->beats.is_unwritten)
		heartbeat_is_written(c, now);
	channel_fill_output(c, now);
}

int channel_send(struct channel *c, u64 now, const struct portal_message *m)
{
	struct msg_wire w = { c->role, MSG_TO_PORTAL, MSG_V1 };
	struct json_out o = JSON_OUT;
	int rc;

	if (!channel_is_connected(c)) {
		c->stats.tx_lost++;
		return ERR_STATE;
	}
	rc = msg_encode(w, m, &o, NULL);
	if (rc == 0)
		rc = sendq_put(&c->sendq, msg_event(w, m->type), json_text(&o));
	json_out_free(&o);
	if (rc == ERR_EXISTS)
		c->stats.tx_duplicates++;
	if (rc == ERR_LIMIT)
		c->stats.queue_full++;
	if (rc == 0)
		channel_fill_output(c, now);
	return rc;
}

/* --- reading ------------------------------------------------------------------------------------------------------------------------------------------ */

static void ignore(struct channel *c, const char *event, const char *reason)
{
	c->stats.rx_invalid++;
	log_warn("Ignoring a message of the portal", kv_s("event", event), kv_s("reason", reason));
}

static void joined(struct channel *c)
{
	c->join_is_pending = false;
	c->state = CHANNEL_UP;
	c->was_joined = true;
	c->stats.joins++;
	backoff_clear(&c->backoff);
	if (!c->has_joined)
		channel_emit(c, CHANNEL_JOINED);
	c->has_joined = true;
}

static void acknowledged(struct channel *c, u64 ref)
{
	struct heartbeats *b = &c->beats;

	if (c->join_is_pending && ref == c->join_ref) {
		joined(c);
		return;
	}
	for (u32 i = 0; i < b->n; i++) {
		if (b->ref[i] != ref)
			continue;
		/* older ones need no answer any more: the portal is alive */
		memmove(b->ref, b->ref + i + 1, (b->n - i - 1) * sizeof(b->ref[0]));
		b->n -= i + 1;
		return;
	}
}

static void refused_by_channel(struct channel *c, const struct phx_frame *f, const char *reason)
{
	bool is_ours = strcmp(f->topic, msg_role_name(c->role)) == 0;
	char text[160];

	if (is_ours && c->join_is_pending && f->ref.number == c->join_ref) {
		snprintf(text, sizeof(text), "the portal refused the join: %.80s", reason);
		channel_give_up(c, CHANNEL_LOGIN_FAILED, ERR_DENIED, text);
	} else if (is_ours && strcmp(reason, "unmatched topic") == 0) {
		if (!c->join_is_pending && !c->join_is_queued) {
			log_info("The portal lost our channel, joining again");
			c->join_is_queued = true;
			c->state = CHANNEL_JOINING;
		}
	} else {
		log_warn("The portal refused a message", kv_s("reason", reason));
	}
}

static void handle_reply(struct channel *c, const struct phx_frame *f)
{
	struct json_get g = JSON_GET;
	const char *status = json_str(&g, f->payload, "status");
	const struct cJSON *response = json_member(&g, f->payload, "response");
	bool is_null = json_is_null(response);

	if (g.err || !response || f->ref.kind != PHX_REF_NUMBER) {
		ignore(c, f->event, g.err ? g.why : "no response or ref");
	} else if (strcmp(status, "ok") == 0) {
		if (json_is_object(response) && json_count(response) == 0)
			acknowledged(c, f->ref.number);
		else if (!is_null) /* null is legal but acknowledges nothing */
			ignore(c, f->event, "response is not empty");
	} else if (strcmp(status, "error") == 0) {
		const char *reason = json_str(&g, response, "reason");
		if (g.err)
			ignore(c, f->event, g.why);
		else
			refused_by_channel(c, f, reason);
	} else {
		ignore(c, f->event, "unknown status");
	}
}

static void handle_disconnect(struct channel *c, const struct phx_frame *f)
{
	struct json_get g = JSON_GET;

	if (strcmp(json_str(&g, f->payload, "reason"), "token_expired") == 0)
		channel_give_up(c, CHANNEL_INVALID_TOKEN, ERR_EXPIRED, "the portal ended the session: token expired");
	else
		ignore(c, f->event, g.err ? g.why : "unknown reason");
}

static void handle_data(struct channel *c, const struct phx_frame *f)
{
	struct msg_wire w = { c->role, MSG_TO_PEER, MSG_V1 };
	struct portal_message m;
	struct json_get why;
	int rc = msg_decode(w, f->event, f->payload, &m, &why);

	if (rc == ERR_NOT_FOUND) {
		c->stats.rx_ignored++;
		log_debug("Ignoring an unknown message of the portal", kv_s("event", f->event));
	} else if (rc) {
		ignore(c, f->event, why.why);
	} else {
		struct channel_event *e = channel_emit(c, CHANNEL_MESSAGE);
		if (!e) {
			msg_free(&m);
			ignore(c, f->event, "too many messages at once");
			return;
		}
		c->stats.rx_messages++;
		e->message = m;
	}
}

static void handle_text(struct channel *c, u64 now, struct span text)
{
	struct phx_frame f;
	struct json_get why;
	int rc = phx_frame_parse(text, NULL, &f, &why);

	if (rc == ERR_TRUNCATED) {
		channel_hiccup(c, now, rc, "a message of the portal is cut short");
		return;
	}
	if (rc) {
		ignore(c, "", why.why);
		return;
	}
	bool is_ours = strcmp(f.topic, msg_role_name(c->role)) == 0;
	if (f.ref.kind == PHX_REF_STRING)
		ignore(c, f.event, "ref is a string");
	else if (strcmp(f.event, "phx_reply") == 0)
		handle_reply(c, &f);
	else if (strcmp(f.event, "phx_error") == 0 && is_ours)
		channel_hiccup(c, now, ERR_CLOSED, "the portal's channel crashed");
	else if (strcmp(f.event, "phx_close") == 0 && is_ours)
		channel_hiccup(c, now, ERR_CLOSED, "the portal closed the channel");
	else if (strcmp(f.event, "disconnect") == 0 && is_ours)
		handle_disconnect(c, &f);
	else
		handle_data(c, &f);
	phx_frame_free(&f);
}

static void handle_close(struct channel *c, u64 now, u16 code)
{
	snprintf(c->flush_reason, sizeof(c->flush_reason), "the portal closed the connection (code %u)", (unsigned)code);
	channel_begin_flush(c, now, THEN_HICCUP); /* the echo goes out first */
	if (ws_output(c->ws).n == 0)
		channel_end_flush(c, now);
}

void channel_input(struct channel *c, u64 now, u64 wall, struct span in)
{
	size_t used = 0;

	if (c->state == CHANNEL_UPGRADING && !channel_input_upgrade(c, now, wall, in, &used))
		return;
	while (channel_is_connected(c) && used < in.n) {
		struct ws_event ev;
		size_t n;
		int rc = ws_input(c->ws, SPAN(in.p + used, in.n - used), &n, &ev);
		used += n;
		if (rc) {
			channel_hiccup(c, now, rc, "the portal violated the WebSocket protocol");
			return;
		}
		switch (ev.type) {
		case WS_TEXT:
			handle_text(c, now, ev.data);
			break;
		case WS_BINARY:
			ignore(c, "", "binary frame");
			break;
		case WS_CLOSE:
			handle_close(c, now, ev.code);
			return;
		case WS_NONE:
		case WS_PONG:
			break;
		}
	}
	channel_fill_output(c, now);
}
