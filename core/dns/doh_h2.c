#include "core/dns/doh_int.h"

#include <nghttp2/nghttp2.h>

static struct slot *slot_of(nghttp2_session *h2, i32 stream)
{
	return nghttp2_session_get_stream_user_data(h2, stream);
}

/* The stream goes on without its query. */
static void detach(struct doh *d, struct slot *s)
{
	(void)nghttp2_session_set_stream_user_data(d->h2, s->stream, NULL);
}

static void give_up(struct doh *d, struct slot *s, int error)
{
	(void)nghttp2_submit_rst_stream(d->h2, NGHTTP2_FLAG_NONE, s->stream, NGHTTP2_CANCEL);
	detach(d, s);
	doh_finish(d, s, error);
}

/* --- what comes in: nghttp2 has checked framing, order and field syntax (RFC 9113 §8) --- */

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *f, void *ctx)
{
	struct slot *s = slot_of(h2, f->hd.stream_id);

	(void)ctx;
	if (s)
		s->is_in_head = s->status < 200; /* none yet, or behind an interim answer; else these are trailers */
	if (s && s->is_in_head) {
		s->status = 0;
		s->n_types = 0;
		s->is_typed = false;
	}
	return 0;
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *f, const u8 *name, size_t name_n, const u8 *value, size_t value_n, u8 flags,
		     void *ctx)
{
	struct doh *d = ctx;
	struct slot *s = slot_of(h2, f->hd.stream_id);
	struct span field = SPAN(name, name_n);

	(void)flags;
	if (!s || f->hd.type != NGHTTP2_HEADERS)
		return 0;
	s->head_bytes += (u32)(name_n + value_n);
	if (s->head_bytes > DOH_HEAD_MAX) {
		d->stats.too_long++;
		give_up(d, s, ERR_LIMIT);
	} else if (!s->is_in_head) {
		return 0;
	} else if (span_eq_nocase(field, ":status") && value_n == 3) {
		s->status = (u16)((value[0] - '0') * 100 + (value[1] - '0') * 10 + (value[2] - '0'));
	} else if (span_eq_nocase(field, "content-type")) {
		doh_content_type(s, SPAN(value, value_n));
	}
	return 0;
}

static int on_data(nghttp2_session *h2, u8 flags, i32 stream, const u8 *data, size_t n, void *ctx)
{
	struct doh *d = ctx;
	struct slot *s = slot_of(h2, stream);
	int rc = s ? doh_append(d, s, SPAN(data, n)) : 0;

	(void)flags;
	if (rc)
		give_up(d, s, rc);
	return 0;
}

static void on_goaway(struct doh *d)
{
	/* Streams the resolver will not look at are closed by nghttp2 (on_stream_close). */
	if (!doh_is_over(d))
		d->state = DOH_CLOSING;
	doh_refuse_waiting(d);
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *f, void *ctx)
{
	struct doh *d = ctx;
	struct slot *s = f->hd.stream_id ? slot_of(h2, f->hd.stream_id) : NULL;

	if (f->hd.type == NGHTTP2_GOAWAY)
		on_goaway(d);
	if (!s || (f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA))
		return 0;
	if (f->hd.type == NGHTTP2_HEADERS && s->status >= 200 && s->is_in_head) {
		int rc = doh_judge_head(d, s);
		if (rc) {
			give_up(d, s, rc);
			return 0;
		}
	}
	if (f->hd.flags & NGHTTP2_FLAG_END_STREAM) {
		detach(d, s);
		doh_complete(d, s);
	}
	return 0;
}

static int on_stream_close(nghttp2_session *h2, i32 stream, u32 code, void *ctx)
{
	struct doh *d = ctx;
	struct slot *s = slot_of(h2, stream);

	(void)code;
	if (s) {
		d->stats.refused++;
		doh_finish(d, s, ERR_CLOSED);
	}
	return 0;
}

/* --- the connection --- */

int h2_open(struct doh *d)
{
	static const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, DOH_HEAD_MAX },
	};
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_option *option = NULL;
	int rc = ERR_NOMEM;

	if (nghttp2_session_callbacks_new(&cb) || nghttp2_option_new(&option))
		goto out;
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_option_set_no_closed_streams(option, 1);
	if (nghttp2_session_client_new2(&d->h2, cb, d, option))
		goto out;
	if (nghttp2_submit_settings(d->h2, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)))
		goto out;
	rc = 0;
out:
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(cb);
	return rc;
}

void h2_free(struct doh *d)
{
	nghttp2_session_del(d->h2);
}

u32 h2_room(const struct doh *d)
{
	u32 theirs = nghttp2_session_get_remote_settings(d->h2, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
	u32 max = MIN(theirs, DOH_STREAMS_MAX);

	if (nghttp2_session_get_outbound_queue_size(d->h2) > DOH_FRAMES_MAX)
		return 0;
	return max > d->n_sent ? max - d->n_sent : 0;
}

static nghttp2_nv nv(const char *name, const char *value, u8 flags)
{
	return (nghttp2_nv){ (u8 *)name, (u8 *)value, strlen(name), strlen(value), flags };
}

int h2_send(struct doh *d, struct slot *s)
{
	char target[TARGET_MAX + 1];
	doh_target(d, s, target);
	const nghttp2_nv fields[] = {
		nv(":method", "GET", 0),
		nv(":scheme", "https", 0),
		nv(":authority", d->authority, 0),
		nv(":path", target, NGHTTP2_NV_FLAG_NO_INDEX), /* each is another: it would only push the rest out of the table */
		nv("accept", "application/dns-message", 0),
	};

	s->stream = nghttp2_submit_request(d->h2, NULL, fields, ARRAY_LEN(fields), NULL, s);
	return s->stream > 0 ? 0 : s->stream == NGHTTP2_ERR_NOMEM ? ERR_NOMEM : ERR_STATE;
}

void h2_cancel(struct doh *d, struct slot *s)
{
	(void)nghttp2_submit_rst_stream(d->h2, NGHTTP2_FLAG_NONE, s->stream, NGHTTP2_CANCEL);
	detach(d, s);
}

/* nghttp2 queues the GOAWAY that says what was wrong; when it is out, nothing is left to be done. */
static void check_alive(struct doh *d)
{
	if (!nghttp2_session_want_read(d->h2) && !nghttp2_session_want_write(d->h2) && (d->state != DOH_CLOSING || d->n_sent > 0))
		doh_end(d, ERR_MALFORMED, "resolver breaks HTTP/2");
}

void h2_input(struct doh *d, struct span in)
{
	ssize_t n = nghttp2_session_mem_recv(d->h2, in.p, in.n);

	if (n < 0)
		doh_end(d, n == NGHTTP2_ERR_NOMEM ? ERR_NOMEM : ERR_MALFORMED, n == NGHTTP2_ERR_NOMEM ? "out of memory" : "resolver breaks HTTP/2");
	else
		check_alive(d);
}

void h2_output(struct doh *d)
{
	while (d->plain_n < PLAIN_SIZE) {
		if (d->frame.n == 0) {
			const u8 *p;
			ssize_t n = nghttp2_session_mem_send(d->h2, &p);
			if (n < 0)
				doh_end(d, ERR_NOMEM, "out of memory");
			if (n == 0)
				check_alive(d);
			if (n <= 0)
				return;
			d->frame = SPAN(p, (size_t)n);
		}
		size_t n = MIN(d->frame.n, PLAIN_SIZE - d->plain_n);
		memcpy(d->plain + d->plain_n, d->frame.p, n);
		d->plain_n += n;
		d->frame.p += n;
		d->frame.n -= n;
	}
}

void h2_ping(struct doh *d)
{
	(void)nghttp2_submit_ping(d->h2, NGHTTP2_FLAG_NONE, NULL);
}

void h2_goodbye(struct doh *d)
{
	(void)nghttp2_session_terminate_session(d->h2, NGHTTP2_NO_ERROR);
}
