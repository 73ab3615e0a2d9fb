#include "core/base/encode.h"
#include "core/dns/doh_int.h"
#include "core/dns/message.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define HTTPS_PORT 443u

static const char *const protocols[] = { "h2", "http/1.1" };

/* --- slots and their lists --- */

static u16 index_of(const struct doh *d, const struct slot *s)
{
	return (u16)(s - d->slot);
}

static void slots_push(struct doh *d, struct slots *l, struct slot *s)
{
	u16 i = index_of(d, s);

	s->next = SLOT_NONE;
	if (l->tail == SLOT_NONE)
		l->head = i;
	else
		d->slot[l->tail].next = i;
	l->tail = i;
}

static struct slot *slots_pop(struct doh *d, struct slots *l)
{
	struct slot *s = l->head == SLOT_NONE ? NULL : &d->slot[l->head];

	if (s) {
		l->head = s->next;
		if (l->head == SLOT_NONE)
			l->tail = SLOT_NONE;
	}
	return s;
}

static void slots_remove(struct doh *d, struct slots *l, const struct slot *s)
{
	u16 i = index_of(d, s), before = SLOT_NONE;

	for (u16 at = l->head; at != i; at = d->slot[at].next)
		before = at;
	if (before == SLOT_NONE)
		l->head = s->next;
	else
		d->slot[before].next = s->next;
	if (l->tail == i)
		l->tail = before;
}

static void release(struct doh *d, struct slot *s)
{
	if (s->cap > SLOT_BUF_KEPT) {
		free(s->buf);
		s->buf = NULL;
		s->cap = 0;
	}
	s->state = SLOT_FREE;
	s->len = 0;
	d->stats.pending--;
	slots_push(d, &d->free, s);
}

static int reserve(struct slot *s, u32 n)
{
	u32 cap = s->cap ? s->cap : SLOT_BUF_FIRST;
	u8 *buf;

	while (cap < n)
		cap *= 2;
	if (cap == s->cap)
		return 0;
	buf = realloc(s->buf, cap);
	if (!buf)
		return ERR_NOMEM;
	s->buf = buf;
	s->cap = cap;
	return 0;
}

static void release_given(struct doh *d)
{
	if (d->given != SLOT_NONE) {
		d->bodies -= d->slot[d->given].len;
		release(d, &d->slot[d->given]);
	}
	d->given = SLOT_NONE;
}

static void answer(struct doh *d, struct slot *s, int error)
{
	if (error) {
		if (s->state == SLOT_SENT)
			d->bodies -= s->len;
		s->len = 0;
	}
	s->error = error;
	s->state = SLOT_ANSWERED;
	slots_push(d, &d->answered, s);
}

void doh_finish(struct doh *d, struct slot *s, int error)
{
	d->n_sent--;
	if (!s->is_forgotten) {
		answer(d, s, error);
		return;
	}
	d->bodies -= s->len;
	release(d, s);
}

/* --- what an answer must be (RFC 8484 §4.2, spec 30 §10.4) --- */

void doh_content_type(struct slot *s, struct span value)
{
	s->is_typed = s->n_types == 0 && span_eq_nocase(value, "application/dns-message");
	s->n_types = 1;
}

int doh_judge_head(struct doh *d, const struct slot *s)
{
	if (s->status != 200) {
		d->stats.bad_status++;
		return ERR_UNSUPPORTED;
	}
	if (!s->is_typed) {
		d->stats.bad_type++;
		return ERR_MALFORMED;
	}
	return 0;
}

int doh_append(struct doh *d, struct slot *s, struct span body)
{
	if (body.n > DOH_ANSWER_MAX - s->len || body.n > DOH_BODIES_MAX - d->bodies) {
		d->stats.too_long++;
		return ERR_LIMIT;
	}
	if (reserve(s, s->len + (u32)body.n))
		return ERR_NOMEM;
	memcpy(s->buf + s->len, body.p, body.n);
	s->len += (u32)body.n;
	d->bodies += body.n;
	return 0;
}

void doh_complete(struct doh *d, struct slot *s)
{
	if (s->len < DNS_HEADER_LEN) {
		d->stats.bad_type++;
		doh_finish(d, s, ERR_MALFORMED);
	} else {
		d->stats.answered += !s->is_forgotten;
		doh_finish(d, s, 0);
	}
}

size_t doh_target(const struct doh *d, const struct slot *s, char out[static TARGET_MAX + 1])
{
	struct wr w = wr_init(out, TARGET_MAX + 1);
	int n;

	wr_str(&w, d->url.path);
	wr_str(&w, "?dns=");
	n = base64url_encode((char *)w.p, wr_left(&w), SPAN(s->buf, s->len));
	return wr_len(&w) + (size_t)MAX(n, 0);
}

/* --- the ends of a connection --- */

void doh_refuse_waiting(struct doh *d)
{
	struct slot *s;

	while ((s = slots_pop(d, &d->waiting))) {
		d->stats.refused++;
		answer(d, s, ERR_CLOSED);
	}
}

static void lose_pending(struct doh *d, int error)
{
	struct slot *s;

	for (u32 i = 0; i < DOH_QUERIES_MAX && d->n_sent > 0; i++)
		if (d->slot[i].state == SLOT_SENT) {
			d->stats.lost += !d->slot[i].is_forgotten;
			doh_finish(d, &d->slot[i], error);
		}
	while ((s = slots_pop(d, &d->waiting))) {
		d->stats.lost++;
		answer(d, s, error);
	}
	if (d->h1)
		d->h1->turn = SLOT_NONE;
}

void doh_end(struct doh *d, int error, const char *fmt, ...)
{
	va_list ap;

	if (doh_is_over(d))
		return;
	d->state = DOH_FAILED;
	d->error = error;
	va_start(ap, fmt);
	vsnprintf(d->reason, sizeof(d->reason), fmt, ap);
	va_end(ap);
	lose_pending(d, error);
}

static void close_when_done(struct doh *d)
{
	if (d->state != DOH_CLOSING || d->n_sent > 0 || d->waiting.head != SLOT_NONE)
		return;
	d->state = DOH_CLOSED;
	if (d->h2)
		h2_goodbye(d);
}

static u32 room(const struct doh *d)
{
	return d->h2 ? h2_room(d) : d->h1 ? h1_room(d) : 0;
}

/* After every door: waiting queries go out as far as the resolver lets them, and a connection that has nothing left to do ends. */
static void proceed(struct doh *d)
{
	while (!doh_is_over(d) && d->waiting.head != SLOT_NONE && room(d) > 0) {
		struct slot *s = slots_pop(d, &d->waiting);
		int rc = d->h2 ? h2_send(d, s) : h1_send(d, s);

		if (rc) {
			answer(d, s, rc == ERR_STATE ? ERR_CLOSED : rc); /* HTTP/2: no stream number is left, or GOAWAY */
			d->state = DOH_CLOSING;
			doh_refuse_waiting(d);
			break;
		}
		s->state = SLOT_SENT;
		s->len = 0;
		d->n_sent++;
	}
	close_when_done(d);
}

/* --- opening --- */

static int open_http(struct doh *d, bool is_h2)
{
	int rc = is_h2 ? h2_open(d) : h1_open(d);

	if (rc) {
		doh_end(d, rc, "out of memory");
		return rc;
	}
	d->state = d->wants_close ? DOH_CLOSING : is_h2 ? DOH_OPEN_H2 : DOH_OPEN_H1;
	d->last_rx = d->now;
	return 0;
}

static void init(struct doh *d, const struct doh_url *url, u64 now)
{
	bool is_v6 = url->literal.family == 6;
	int n = snprintf(d->authority, sizeof(d->authority), is_v6 ? "[%s]" : "%s", url->host);

	if (url->port != HTTPS_PORT)
		snprintf(d->authority + n, sizeof(d->authority) - (size_t)n, ":%u", url->port);
	d->url = *url;
	d->now = now;
	d->connect_by = time_add(now, DOH_CONNECT_TIMEOUT);
	d->given = SLOT_NONE;
	d->free = d->waiting = d->answered = (struct slots){ SLOT_NONE, SLOT_NONE };
	for (u32 i = 0; i < DOH_QUERIES_MAX; i++)
		slots_push(d, &d->free, &d->slot[i]);
}

bool doh_is_available(void)
{
	return true;
}

int doh_new(const struct doh_config *cfg, u64 now, struct doh **out)
{
	struct doh *d = calloc(1, sizeof(*d));
	int rc = ERR_NOMEM;

	if (d) {
		init(d, cfg->url, now);
		rc = tls_client_new_alpn(cfg->anchors, d->url.host, protocols, ARRAY_LEN(protocols), cfg->wall_secs, cfg->rng, &d->tls);
	}
	if (rc) {
		doh_free(d);
		d = NULL;
	}
	*out = d;
	return rc;
}

int doh_new_plain(const struct doh_url *url, bool is_h2, u64 now, struct doh **out)
{
	struct doh *d = calloc(1, sizeof(*d));
	int rc = ERR_NOMEM;

	if (d) {
		init(d, url, now);
		rc = open_http(d, is_h2);
	}
	if (rc) {
		doh_free(d);
		d = NULL;
	}
	*out = d;
	return rc;
}

void doh_free(struct doh *d)
{
	if (!d)
		return;
	h2_free(d);
	h1_free(d);
	tls_free(d->tls);
	for (u32 i = 0; i < DOH_QUERIES_MAX; i++)
		free(d->slot[i].buf);
	free(d);
}

/* --- queries --- */

enum doh_state doh_state(const struct doh *d)
{
	return d->state;
}

bool doh_is_willing(const struct doh *d)
{
	return d->state < DOH_CLOSING && !d->wants_close && d->free.head != SLOT_NONE;
}

int doh_error(const struct doh *d)
{
	return d->error;
}

const char *doh_reason(const struct doh *d)
{
	return d->reason[0] ? d->reason : "connection to the resolver is well";
}

const struct doh_stats *doh_stats(const struct doh *d)
{
	return &d->stats;
}

int doh_ask(struct doh *d, u64 now, u32 id, struct span message)
{
	struct slot *s;

	d->now = now;
	if (d->state >= DOH_CLOSING || d->wants_close)
		return ERR_STATE;
	if (message.n < DNS_HEADER_LEN)
		return ERR_MALFORMED;
	if (message.n > DOH_QUERY_MAX || d->free.head == SLOT_NONE)
		return ERR_LIMIT;
	if (reserve(&d->slot[d->free.head], (u32)message.n))
		return ERR_NOMEM;
	s = slots_pop(d, &d->free);
	*s = (struct slot){ .state = SLOT_WAITING, .id = id, .buf = s->buf, .cap = s->cap, .len = (u32)message.n };
	memcpy(s->buf, message.p, message.n);
	dns_set_id(s->buf, 0);
	slots_push(d, &d->waiting, s);
	d->stats.asked++;
	d->stats.pending++;
	proceed(d);
	return 0;
}

void doh_cancel(struct doh *d, u64 now, u32 id)
{
	struct slot *s = d->slot;

	d->now = now;
	while (s < d->slot + DOH_QUERIES_MAX &&
	       (s->state == SLOT_FREE || s->id != id || s->is_forgotten || index_of(d, s) == d->given))
		s++;
	if (s == d->slot + DOH_QUERIES_MAX)
		return;
	d->stats.cancelled++;
	switch (s->state) {
	case SLOT_FREE:
		break;
	case SLOT_WAITING:
		slots_remove(d, &d->waiting, s);
		release(d, s);
		break;
	case SLOT_ANSWERED:
		slots_remove(d, &d->answered, s);
		d->bodies -= s->len;
		release(d, s);
		break;
	case SLOT_SENT:
		s->is_forgotten = true;
		if (d->h2) {
			h2_cancel(d, s);
			doh_finish(d, s, 0);
		}
		break;
	}
	proceed(d);
}

bool doh_poll_answer(struct doh *d, struct doh_answer *out)
{
	struct slot *s;

	release_given(d);
	s = slots_pop(d, &d->answered);
	if (!s)
		return false;
	d->given = index_of(d, s);
	*out = (struct doh_answer){ .id = s->id, .error = s->error, .status = s->status,
				    .message = s->error ? SPAN_NONE : SPAN(s->buf, s->len) };
	return true;
}

void doh_close(struct doh *d, u64 now)
{
	d->now = now;
	d->wants_close = true;
	if (d->state == DOH_OPEN_H2 || d->state == DOH_OPEN_H1)
		d->state = DOH_CLOSING;
	else if (d->state == DOH_CONNECTING && d->waiting.head == SLOT_NONE)
		d->state = DOH_CLOSED;
	proceed(d);
}

/* --- bytes in --- */

static void plain_input(struct doh *d, struct span in)
{
	d->last_rx = d->now;
	d->is_pinged = false;
	if (d->h2)
		h2_input(d, in);
	else
		h1_input(d, in);
}

/* TLS wants to speak before it listens (an alert in answer to something): what it says moves aside. */
static bool spill(struct doh *d)
{
	struct span s = tls_output(d->tls);

	if (s.n == 0 || s.n > SPILL_SIZE - d->spill_n)
		return false;
	memcpy(d->spill + d->spill_n, s.p, s.n);
	d->spill_n += s.n;
	tls_output_done(d->tls, s.n);
	return true;
}

static void stream_ended(struct doh *d)
{
	if (d->h1)
		h1_eof(d);
	proceed(d);
	if (doh_is_over(d))
		return;
	if (d->n_sent == 0 && d->waiting.head == SLOT_NONE && d->state != DOH_CONNECTING)
		d->state = DOH_CLOSED;
	else
		doh_end(d, ERR_CLOSED, d->state == DOH_CONNECTING ? "resolver closed the connection in the TLS handshake" :
								     "resolver closed the connection before it answered");
}

static void tls_plaintext(struct doh *d)
{
	struct span s;

	if (d->state == DOH_CONNECTING && tls_is_ready(d->tls)) {
		const char *name = tls_protocol(d->tls);
		if (open_http(d, name == protocols[0] || (name && strcmp(name, protocols[0]) == 0)))
			return;
		proceed(d);
	}
	while (!doh_is_over(d) && (s = tls_read(d->tls)).n > 0) {
		plain_input(d, s);
		tls_read_done(d->tls, s.n);
		proceed(d);
	}
}

static void tls_in(struct doh *d, struct span in)
{
	while (in.n > 0 && !doh_is_over(d)) {
		size_t used;
		int rc = tls_input(d->tls, in, &used);

		in = SPAN(in.p + used, in.n - used);
		tls_plaintext(d);
		if (rc)
			doh_end(d, rc, "%s", tls_reason(d->tls));
		else if (tls_is_closed(d->tls))
			stream_ended(d);
		else if (used == 0 && !spill(d))
			doh_end(d, ERR_MALFORMED, "resolver does not let TLS answer");
	}
}

void doh_input(struct doh *d, u64 now, struct span in)
{
	d->now = now;
	if (doh_is_over(d) || in.n == 0)
		return;
	if (d->tls) {
		tls_in(d, in);
	} else {
		plain_input(d, in);
		proceed(d);
	}
}

void doh_input_eof(struct doh *d, u64 now)
{
	bool is_cut;

	d->now = now;
	if (doh_is_over(d))
		return;
	is_cut = d->tls && tls_input_eof(d->tls) != 0;
	/* A body that ends with the connection is whole only when TLS says that this is the end. */
	if (is_cut && d->h1 && d->h1->turn != SLOT_NONE)
		doh_end(d, ERR_CLOSED, "resolver closed the connection before it answered");
	stream_ended(d);
}

void doh_fail(struct doh *d, u64 now, int error, const char *reason)
{
	d->now = now;
	doh_end(d, error, "%s", reason);
}

/* --- bytes out --- */

/* More plaintext for the wire; false when there is none. */
static bool fill(struct doh *d)
{
	if (d->plain_off == d->plain_n) {
		d->plain_off = d->plain_n = 0;
		if (d->h2)
			h2_output(d);
		proceed(d);
		if (d->h2 && d->plain_n == 0)
			h2_output(d); /* what proceed() brought up */
	}
	return d->plain_n > d->plain_off;
}

struct span doh_output(struct doh *d)
{
	if (d->spill_n > d->spill_off)
		return SPAN(d->spill + d->spill_off, d->spill_n - d->spill_off);
	d->spill_n = d->spill_off = 0;
	if (!d->tls)
		return fill(d) ? SPAN(d->plain + d->plain_off, d->plain_n - d->plain_off) : SPAN_NONE;
	for (;;) {
		struct span s = tls_output(d->tls);
		size_t n;

		if (s.n > 0)
			return s;
		if (fill(d)) {
			n = tls_write(d->tls, SPAN(d->plain + d->plain_off, d->plain_n - d->plain_off));
			d->plain_off += n;
			if (n > 0)
				continue;
		} else if (doh_is_over(d) && !d->is_goodbye_said && tls_is_ready(d->tls)) {
			d->is_goodbye_said = true;
			tls_close(d->tls);
			continue;
		}
		return SPAN_NONE;
	}
}

void doh_output_done(struct doh *d, size_t n)
{
	if (d->spill_n > d->spill_off)
		d->spill_off += n;
	else if (d->tls)
		tls_output_done(d->tls, n);
	else
		d->plain_off += n;
	if (d->tls && tls_error(d->tls))
		doh_end(d, tls_error(d->tls), "%s", tls_reason(d->tls));
	else if (d->tls && tls_is_closed(d->tls) && !doh_is_over(d))
		stream_ended(d); /* our answer to the resolver's goodbye is out */
}

/* --- time --- */

u64 doh_next_timeout(const struct doh *d)
{
	if (d->state == DOH_CONNECTING)
		return d->connect_by;
	if (doh_is_over(d))
		return TIME_NEVER;
	if (d->h1)
		return d->h1->turn == SLOT_NONE ? TIME_NEVER : time_add(d->h1->sent_at, DOH_TURN_TIMEOUT);
	return d->is_pinged ? time_add(d->pinged_at, DOH_PING_TIMEOUT) : time_add(d->last_rx, DOH_PING_INTERVAL);
}

void doh_timeout(struct doh *d, u64 now)
{
	d->now = now;
	if (now < doh_next_timeout(d))
		return;
	if (d->state == DOH_CONNECTING) {
		doh_end(d, ERR_TIMEOUT, "connecting to the resolver took too long");
	} else if (d->h1) {
		doh_end(d, ERR_TIMEOUT, "resolver did not answer in time");
	} else if (d->is_pinged) {
		doh_end(d, ERR_TIMEOUT, "resolver did not answer a ping in time");
	} else {
		d->pinged_at = now;
		d->is_pinged = true;
		d->stats.pings++;
		h2_ping(d);
	}
}
