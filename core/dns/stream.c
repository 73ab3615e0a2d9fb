#include "core/dns/stream.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX 2u
#define BUFFER_STEP 2048u
#define IN_MAX (PREFIX + DNS_MESSAGE_MAX + DNS_TCP_CHUNK_MAX)

/* ---- bytes in order; no memory while empty ---- */

struct buffer {
	u8 *p;
	size_t start, end, capacity;
};

static size_t buffer_len(const struct buffer *b)
{
	return b->end - b->start;
}

static struct span buffer_span(const struct buffer *b)
{
	return buffer_len(b) > 0 ? SPAN(b->p + b->start, buffer_len(b)) : SPAN_NONE;
}

static void buffer_drop(struct buffer *b)
{
	free(b->p);
	*b = (struct buffer){ 0 };
}

static void buffer_take(struct buffer *b, size_t n)
{
	b->start += MIN(n, buffer_len(b));
	if (b->start == b->end)
		buffer_drop(b);
}

/* Room for n more bytes at p + end. ERR_LIMIT: above max. ERR_NOMEM. */
static int buffer_room(struct buffer *b, size_t n, size_t max)
{
	size_t len = buffer_len(b);
	if (len + n > max)
		return ERR_LIMIT;
	if (b->end + n <= b->capacity)
		return 0;
	if (len + n <= b->capacity && b->start >= b->capacity / 2) {
		memmove(b->p, b->p + b->start, len);
	} else {
		size_t capacity = MAX(b->capacity * 2, (size_t)BUFFER_STEP); /* so that moving costs a constant per byte */
		while (capacity < len + n)
			capacity *= 2;
		u8 *p = malloc(capacity);
		if (!p)
			return ERR_NOMEM;
		if (len > 0)
			memcpy(p, b->p + b->start, len);
		free(b->p);
		b->p = p;
		b->capacity = capacity;
	}
	b->start = 0;
	b->end = len;
	return 0;
}

static int buffer_add(struct buffer *b, struct span s, size_t max)
{
	int rc = buffer_room(b, s.n, max);
	if (rc || s.n == 0)
		return rc;
	memcpy(b->p + b->end, s.p, s.n);
	b->end += s.n;
	return 0;
}

/* A message behind its length; where it begins in *at. */
static int buffer_add_message(struct buffer *b, struct span m, u8 **at)
{
	if (m.n < DNS_HEADER_LEN || m.n > DNS_MESSAGE_MAX)
		return ERR_MALFORMED;
	int rc = buffer_room(b, PREFIX + m.n, DNS_TCP_OUT_MAX);
	if (rc)
		return rc;
	put_be16(b->p + b->end, (u16)m.n);
	*at = b->p + b->end + PREFIX;
	memcpy(*at, m.p, m.n);
	b->end += PREFIX + m.n;
	return 0;
}

enum frame { FRAME_NONE, FRAME_WHOLE, FRAME_BAD };

/* The message at the front, which stays in the buffer. */
static enum frame buffer_frame(const struct buffer *b, struct span *out)
{
	size_t len = buffer_len(b);
	if (len < PREFIX)
		return FRAME_NONE;
	const u8 *p = b->p + b->start;
	size_t n = get_be16(p);
	if (n < DNS_HEADER_LEN)
		return FRAME_BAD;
	if (len < PREFIX + n)
		return FRAME_NONE;
	*out = SPAN(p + PREFIX, n);
	return FRAME_WHOLE;
}

/* ---- the end that asks ---- */

struct pending {
	u32 id;
	u16 asked_id; /* of the message as it came */
	bool is_cancelled;
};

struct dns_tcp_client {
	struct rng *rng;
	struct buffer in, out;
	size_t polled; /* bytes at the front of `in` that poll has lent */
	u32 n_pending;
	u16 wire_ids[DNS_TCP_CLIENT_PENDING];
	struct pending pending[DNS_TCP_CLIENT_PENDING];
	u64 active; /* the last answer or, when there was nothing pending, the first query; when it became idle */
	bool has_answered, is_over;
	int error;
};

struct dns_tcp_client *dns_tcp_client_new(struct rng *rng, u64 now)
{
	struct dns_tcp_client *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->rng = rng;
	c->active = now;
	return c;
}

void dns_tcp_client_free(struct dns_tcp_client *c)
{
	if (!c)
		return;
	buffer_drop(&c->in);
	buffer_drop(&c->out);
	free(c);
}

static u32 find_wire_id(const struct dns_tcp_client *c, u16 wire_id)
{
	u32 i = 0;
	while (i < c->n_pending && c->wire_ids[i] != wire_id)
		i++;
	return i;
}

static void remove_pending(struct dns_tcp_client *c, u32 i)
{
	c->n_pending--;
	c->pending[i] = c->pending[c->n_pending];
	c->wire_ids[i] = c->wire_ids[c->n_pending];
}

int dns_tcp_client_ask(struct dns_tcp_client *c, u64 now, u32 id, struct span message)
{
	u8 *at;
	if (c->is_over)
		return ERR_STATE;
	if (c->n_pending == DNS_TCP_CLIENT_PENDING)
		return ERR_LIMIT;
	u16 wire_id = (u16)rng_u32(c->rng);
	while (find_wire_id(c, wire_id) < c->n_pending)
		wire_id++;
	int rc = buffer_add_message(&c->out, message, &at);
	if (rc)
		return rc;
	if (c->n_pending == 0)
		c->active = now;
	c->wire_ids[c->n_pending] = wire_id;
	c->pending[c->n_pending++] = (struct pending){ .id = id, .asked_id = get_be16(message.p) };
	put_be16(at, wire_id);
	return 0;
}

void dns_tcp_client_cancel(struct dns_tcp_client *c, u32 id)
{
	for (u32 i = 0; i < c->n_pending; i++)
		if (c->pending[i].id == id)
			c->pending[i].is_cancelled = true;
}

void dns_tcp_client_end(struct dns_tcp_client *c, int error)
{
	if (c->is_over)
		return;
	c->is_over = true;
	c->error = error;
	buffer_drop(&c->out);
}

void dns_tcp_client_input(struct dns_tcp_client *c, u64 now, struct span bytes)
{
	if (c->is_over)
		return;
	buffer_take(&c->in, c->polled);
	c->polled = 0;
	int rc = buffer_add(&c->in, bytes, IN_MAX);
	if (rc)
		dns_tcp_client_end(c, rc);
	c->active = now;
}

struct span dns_tcp_client_output(const struct dns_tcp_client *c)
{
	return buffer_span(&c->out);
}

void dns_tcp_client_output_done(struct dns_tcp_client *c, size_t n)
{
	buffer_take(&c->out, n);
}

static bool poll_failed(struct dns_tcp_client *c, struct dns_tcp_answer *out)
{
	while (c->n_pending > 0) {
		struct pending p = c->pending[c->n_pending - 1];
		c->n_pending--;
		if (p.is_cancelled)
			continue;
		*out = (struct dns_tcp_answer){ .id = p.id, .error = c->error, .is_worth_again = c->has_answered };
		return true;
	}
	return false;
}

bool dns_tcp_client_poll(struct dns_tcp_client *c, struct dns_tcp_answer *out)
{
	struct span m;

	buffer_take(&c->in, c->polled);
	c->polled = 0;
	for (;;) {
		enum frame f = buffer_frame(&c->in, &m);
		u32 i = f == FRAME_WHOLE ? find_wire_id(c, get_be16(m.p)) : 0;
		if (f == FRAME_BAD || (f == FRAME_WHOLE && i == c->n_pending)) {
			buffer_drop(&c->in);
			dns_tcp_client_end(c, ERR_MALFORMED);
			c->error = ERR_MALFORMED;
			f = FRAME_NONE;
		}
		if (f == FRAME_NONE)
			return c->is_over && poll_failed(c, out);
		struct pending p = c->pending[i];
		remove_pending(c, i);
		c->has_answered = true;
		if (p.is_cancelled) {
			buffer_take(&c->in, PREFIX + m.n);
			continue;
		}
		put_be16(c->in.p + c->in.start + PREFIX, p.asked_id);
		c->polled = PREFIX + m.n;
		*out = (struct dns_tcp_answer){ .id = p.id, .message = m };
		return true;
	}
}

bool dns_tcp_client_is_over(const struct dns_tcp_client *c, int *error)
{
	if (error)
		*error = c->error;
	return c->is_over;
}

u32 dns_tcp_client_pending(const struct dns_tcp_client *c)
{
	return c->n_pending;
}

u64 dns_tcp_client_next_timeout(const struct dns_tcp_client *c)
{
	if (c->is_over)
		return TIME_NEVER;
	return time_add(c->active, c->n_pending > 0 ? DNS_TCP_SILENCE : DNS_TCP_CLIENT_IDLE);
}

void dns_tcp_client_timeout(struct dns_tcp_client *c, u64 now)
{
	if (now >= dns_tcp_client_next_timeout(c))
		dns_tcp_client_end(c, c->n_pending > 0 ? ERR_TIMEOUT : 0);
}

/* ---- the end that answers ---- */

struct dns_tcp_server {
	struct buffer in, out;
	size_t polled;
	u64 idle, active; /* the last query, answer or byte taken */
	u32 n_pending;
	bool is_ended, is_over;
	int error;
};

struct dns_tcp_server *dns_tcp_server_new(u64 now, u64 idle)
{
	struct dns_tcp_server *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->idle = idle != 0 ? idle : DNS_TCP_SERVER_IDLE;
	s->active = now;
	return s;
}

void dns_tcp_server_free(struct dns_tcp_server *s)
{
	if (!s)
		return;
	buffer_drop(&s->in);
	buffer_drop(&s->out);
	free(s);
}

static void server_over(struct dns_tcp_server *s, int error)
{
	s->is_over = true;
	s->error = error;
	s->polled = 0;
	buffer_drop(&s->in);
	buffer_drop(&s->out);
}

static bool server_rests(const struct dns_tcp_server *s)
{
	return s->n_pending >= DNS_TCP_SERVER_PENDING || buffer_len(&s->out) >= DNS_TCP_OUT_REST;
}

bool dns_tcp_server_wants_input(const struct dns_tcp_server *s)
{
	return !s->is_over && !s->is_ended && !server_rests(s);
}

void dns_tcp_server_input(struct dns_tcp_server *s, u64 now, struct span bytes)
{
	if (s->is_over || s->is_ended)
		return;
	buffer_take(&s->in, s->polled);
	s->polled = 0;
	if (buffer_len(&s->in) == 0 && s->n_pending == 0 && buffer_len(&s->out) == 0)
		s->active = now; /* a new query begins */
	int rc = buffer_add(&s->in, bytes, IN_MAX);
	if (rc)
		server_over(s, rc);
}

static bool server_is_served(const struct dns_tcp_server *s)
{
	struct span m;
	return s->n_pending == 0 && buffer_len(&s->out) == 0 && buffer_frame(&s->in, &m) != FRAME_WHOLE;
}

void dns_tcp_server_input_end(struct dns_tcp_server *s)
{
	buffer_take(&s->in, s->polled);
	s->polled = 0;
	s->is_ended = true;
}

bool dns_tcp_server_poll(struct dns_tcp_server *s, u64 now, struct span *query)
{
	buffer_take(&s->in, s->polled);
	s->polled = 0;
	if (s->is_over || server_rests(s))
		return false;
	switch (buffer_frame(&s->in, query)) {
	case FRAME_NONE:
		return false;
	case FRAME_BAD:
		server_over(s, ERR_MALFORMED);
		return false;
	case FRAME_WHOLE:
		break;
	}
	s->polled = PREFIX + query->n;
	s->n_pending++;
	s->active = now;
	return true;
}

void dns_tcp_server_drop(struct dns_tcp_server *s, u64 now)
{
	if (s->n_pending > 0)
		s->n_pending--;
	s->active = now;
}

int dns_tcp_server_reply(struct dns_tcp_server *s, u64 now, struct span message)
{
	u8 *at;
	dns_tcp_server_drop(s, now);
	return s->is_over ? ERR_STATE : buffer_add_message(&s->out, message, &at);
}

struct span dns_tcp_server_output(const struct dns_tcp_server *s)
{
	return buffer_span(&s->out);
}

void dns_tcp_server_output_done(struct dns_tcp_server *s, u64 now, size_t n)
{
	if (n > 0)
		s->active = now;
	buffer_take(&s->out, n);
}

bool dns_tcp_server_is_over(const struct dns_tcp_server *s, int *error)
{
	if (error)
		*error = s->error;
	return s->is_over || (s->is_ended && s->polled == 0 && server_is_served(s));
}

u32 dns_tcp_server_pending(const struct dns_tcp_server *s)
{
	return s->n_pending;
}

u64 dns_tcp_server_next_timeout(const struct dns_tcp_server *s)
{
	bool waits_for_us = s->n_pending > 0 && buffer_len(&s->out) == 0;
	return s->is_over || waits_for_us ? TIME_NEVER : time_add(s->active, s->idle);
}

void dns_tcp_server_timeout(struct dns_tcp_server *s, u64 now)
{
	if (now >= dns_tcp_server_next_timeout(s))
		server_over(s, 0);
}
