/* tests/unit/doh_server.h: a DoH server in memory, HTTP/2 by nghttp2 or HTTP/1.1 by our parser, with TLS or without, that answers when and what
 * the test says. Private to the tests of core/dns/doh.h; included once per program.
 */
#pragma once

#include "core/base/encode.h"
#include "core/dns/doh_int.h"
#include "core/dns/message.h"
#include "tests/unit/test.h"
#include "tests/unit/tls_certs.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WALL 1800000000ull
#define REQUESTS_MAX 300
#define REPLY_TYPE "application/dns-message"

struct request {
	i32 stream;
	char method[8], authority[300], accept[64];
	char path[TARGET_MAX + 1];
	u8 dns[DOH_QUERY_MAX]; /* what ?dns= decodes to */
	int dns_n;
	struct span body; /* of the reply */
	size_t body_off;
};

struct answered {
	u32 times;
	int error;
	u16 status;
	size_t n;
	u8 head[32];
};

enum server_kind { SERVER_H2, SERVER_H1 };

static struct world {
	struct rng_seeded rng;
	struct doh *d;
	u64 now;
	enum server_kind kind;
	bool is_deaf; /* the network to the server is cut silently */
	size_t chunk; /* bytes per step on the wire; 0 = all */
	struct tls_anchors *anchors;
	struct tls_identity *identity;
	struct tls *tls;
	nghttp2_session *h2;
	struct http_parser *h1;
	u8 out[400000]; /* HTTP/1.1 and raw bytes of the server */
	size_t out_n;
	struct request request[REQUESTS_MAX];
	u32 n_requests;
	u32 now_open, most_open; /* streams */
	u32 goaway_code;         /* of the client's GOAWAY; ~0 none yet */
	struct answered answer[1024];
	u32 n_answers;
} w;

/* --- the server's HTTP/2 --- */

static void note_field(struct request *r, struct span name, struct span value)
{
	struct { const char *name; char *to; size_t cap; } fields[] = {
		{ ":method", r->method, sizeof(r->method) }, { ":authority", r->authority, sizeof(r->authority) },
		{ "host", r->authority, sizeof(r->authority) }, { "accept", r->accept, sizeof(r->accept) }, { ":path", r->path, sizeof(r->path) },
	};

	for (unsigned i = 0; i < ARRAY_LEN(fields); i++)
		if (span_eq_nocase(name, fields[i].name) && value.n < fields[i].cap) {
			memcpy(fields[i].to, value.p, value.n);
			fields[i].to[value.n] = 0;
		}
}

static void note_request(struct request *r)
{
	const char *dns = strstr(r->path, "?dns=");

	r->dns_n = dns ? base64url_decode(r->dns, sizeof(r->dns), SPAN(dns + 5, strlen(dns + 5))) : -1;
}

static int s_begin(nghttp2_session *h2, const nghttp2_frame *f, void *ctx)
{
	(void)ctx;
	struct request *r = &w.request[w.n_requests++ % REQUESTS_MAX];
	*r = (struct request){ .stream = f->hd.stream_id };
	nghttp2_session_set_stream_user_data(h2, f->hd.stream_id, r);
	if (++w.now_open > w.most_open)
		w.most_open = w.now_open;
	return 0;
}

static int s_header(nghttp2_session *h2, const nghttp2_frame *f, const u8 *name, size_t nn, const u8 *value, size_t vn, u8 flags, void *ctx)
{
	(void)flags, (void)ctx;
	note_field(nghttp2_session_get_stream_user_data(h2, f->hd.stream_id), SPAN(name, nn), SPAN(value, vn));
	return 0;
}

static int s_frame(nghttp2_session *h2, const nghttp2_frame *f, void *ctx)
{
	(void)ctx;
	if (f->hd.type == NGHTTP2_HEADERS && f->hd.flags & NGHTTP2_FLAG_END_STREAM)
		note_request(nghttp2_session_get_stream_user_data(h2, f->hd.stream_id));
	if (f->hd.type == NGHTTP2_GOAWAY)
		w.goaway_code = f->goaway.error_code;
	return 0;
}

static int s_close(nghttp2_session *h2, i32 stream, u32 code, void *ctx)
{
	(void)h2, (void)stream, (void)code, (void)ctx;
	w.now_open--;
	return 0;
}

static ssize_t s_body(nghttp2_session *h2, i32 stream, u8 *buf, size_t cap, u32 *flags, nghttp2_data_source *source, void *ctx)
{
	struct request *r = source->ptr;
	size_t n = MIN(cap, r->body.n - r->body_off);

	(void)h2, (void)stream, (void)ctx;
	memcpy(buf, r->body.p + r->body_off, n);
	r->body_off += n;
	if (r->body_off == r->body.n)
		*flags = NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static void server_h2(u32 max_streams)
{
	nghttp2_settings_entry max = { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, max_streams };
	nghttp2_session_callbacks *cb;

	nghttp2_session_callbacks_new(&cb);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, s_begin);
	nghttp2_session_callbacks_set_on_header_callback(cb, s_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, s_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, s_close);
	nghttp2_session_server_new(&w.h2, cb, NULL);
	nghttp2_session_callbacks_del(cb);
	EXPECT_EQ(nghttp2_submit_settings(w.h2, 0, &max, 1), 0);
}

static nghttp2_nv s_nv(const char *name, const char *value)
{
	return (nghttp2_nv){ (u8 *)name, (u8 *)value, strlen(name), strlen(value), 0 };
}

/* --- bytes between them --- */

static void server_takes(struct span in)
{
	size_t used;
	struct span body;

	if (w.h2) {
		if (nghttp2_session_mem_recv(w.h2, in.p, in.n) < 0)
			w.is_deaf = true;
		return;
	}
	while (in.n > 0) {
		int rc = http_parser_input(w.h1, in, &used, &body);
		in = SPAN(in.p + used, in.n - used);
		if (!EXPECT(rc >= 0))
			return;
		if (rc == HTTP_HEAD) {
			const struct http_head *h = http_parser_head(w.h1);
			struct request *r = &w.request[w.n_requests++ % REQUESTS_MAX];
			*r = (struct request){ .stream = 0 };
			note_field(r, SPAN_STR(":method"), h->method);
			note_field(r, SPAN_STR(":path"), h->target);
			for (size_t i = 0; i < h->n_fields; i++)
				note_field(r, h->field[i].name, h->field[i].value);
			note_request(r);
			EXPECT(h->keep_alive);
			EXPECT_EQ(http_parser_input(w.h1, SPAN_NONE, &used, &body), HTTP_DONE);
			http_parser_reset(w.h1);
		}
	}
}

static void server_says(struct span s)
{
	if (s.n)
		memcpy(w.out + w.out_n, s.p, s.n);
	w.out_n += s.n;
}

static bool client_to_server(void)
{
	struct span s = doh_output(w.d), plain;
	size_t used, n = w.chunk ? MIN(s.n, w.chunk) : s.n;

	if (n == 0)
		return false;
	s.n = n;
	if (w.is_deaf) {
		doh_output_done(w.d, n);
		return true;
	}
	if (!w.tls) {
		server_takes(s);
		doh_output_done(w.d, n);
		return true;
	}
	(void)!tls_input(w.tls, s, &used);
	doh_output_done(w.d, used ? used : n);
	while ((plain = tls_read(w.tls)).n > 0) {
		server_takes(plain);
		tls_read_done(w.tls, plain.n);
	}
	return true;
}

static bool server_to_client(void)
{
	const u8 *p;
	ssize_t got;
	struct span s;

	while (w.h2 && !w.is_deaf && w.out_n < 100000 && (got = nghttp2_session_mem_send(w.h2, &p)) > 0)
		server_says(SPAN(p, (size_t)got));
	if (w.tls && w.out_n > 0) {
		size_t n = tls_write(w.tls, SPAN(w.out, w.out_n));
		memmove(w.out, w.out + n, w.out_n - n);
		w.out_n -= n;
	}
	s = w.tls ? tls_output(w.tls) : SPAN(w.out, w.out_n);
	if (w.chunk)
		s.n = MIN(s.n, w.chunk);
	if (s.n == 0)
		return false;
	if (!w.is_deaf)
		doh_input(w.d, w.now, s);
	if (w.tls) {
		tls_output_done(w.tls, s.n);
	} else {
		memmove(w.out, w.out + s.n, w.out_n - s.n);
		w.out_n -= s.n;
	}
	return true;
}

static void collect(void)
{
	struct doh_answer a;

	while (doh_poll_answer(w.d, &a)) {
		struct answered *to = &w.answer[a.id % ARRAY_LEN(w.answer)];
		to->times++;
		to->error = a.error;
		to->status = a.status;
		to->n = a.message.n;
		EXPECT((a.message.p == NULL) == (a.error != 0));
		if (a.message.n)
			memcpy(to->head, a.message.p, MIN(a.message.n, sizeof(to->head)));
		w.n_answers++;
	}
}

/* Until nobody has anything to say. */
static void move_bytes(void)
{
	for (bool moved = true; moved;) {
		moved = client_to_server();
		moved |= server_to_client();
	}
}

static void pump(void)
{
	move_bytes();
	collect();
}

/* --- the world --- */

static void world_reset(enum server_kind kind)
{
	memset(&w, 0, sizeof(w));
	rng_seeded_init(&w.rng, 55);
	w.kind = kind;
	w.now = SEC(1000);
	w.goaway_code = ~0u;
	if (kind == SERVER_H2)
		server_h2(100);
	else
		w.h1 = http_parser_new(HTTP_REQUEST, 0);
}

static struct doh_url world_url(const char *text)
{
	struct doh_url url;

	EXPECT_EQ(doh_url_parse(SPAN(text, strlen(text)), &url), 0);
	return url;
}

/* Without TLS, open already. */
static void world_plain(enum server_kind kind)
{
	struct doh_url url = world_url("https://portal.example/dns-query");

	world_reset(kind);
	EXPECT_EQ(doh_new_plain(&url, kind == SERVER_H2, w.now, &w.d), 0);
}

/* With TLS; the server knows `n` protocols of ALPN. */
static void world_tls(enum server_kind kind, const char *const *protocols, size_t n, const char *url_text, u64 wall)
{
	struct doh_url url = world_url(url_text);

	world_reset(kind);
	EXPECT_EQ(tls_anchors_new(SPAN(ca_pem, strlen(ca_pem)), &w.anchors, NULL), 0);
	EXPECT_EQ(tls_identity_new(SPAN(ec_pem, strlen(ec_pem)), SPAN(ec_key, strlen(ec_key)), &w.identity), 0);
	EXPECT_EQ(tls_server_new_alpn(w.identity, protocols, n, &w.rng.rng, &w.tls), 0);
	struct doh_config cfg = { w.anchors, &url, wall, &w.rng.rng };
	EXPECT_EQ(doh_new(&cfg, w.now, &w.d), 0);
}

static const char *const h2_and_h1[] = { "h2", "http/1.1" };

static void world_both(enum server_kind kind)
{
	world_tls(kind, kind == SERVER_H2 ? h2_and_h1 : h2_and_h1 + 1, 1, "https://portal.example/dns-query", WALL);
}

static void world_end(void)
{
	collect();
	doh_free(w.d);
	nghttp2_session_del(w.h2);
	http_parser_free(w.h1);
	tls_free(w.tls);
	tls_identity_free(w.identity);
	tls_anchors_free(w.anchors);
}

/* A query for `<id>.example`, with DNS ID 0xabcd. */
static size_t query_of(u32 id, u8 buf[static 64])
{
	struct dns_question q = { .type = DNS_A, .class = DNS_CLASS_IN };
	struct wr wr = wr_init(buf, 64);
	char name[32];

	snprintf(name, sizeof(name), "q%u.example", id);
	EXPECT_EQ(dns_name_from_text(name, &q.name), 0);
	dns_query_write(&wr, 0xabcd, &q, 0);
	return wr_len(&wr);
}

static int ask(u32 id)
{
	u8 buf[64];
	size_t n = query_of(id, buf);

	return doh_ask(w.d, w.now, id, SPAN(buf, n));
}

/* Its answer: the query with QR set, `n` bytes in all (0: no longer than the query). */
static struct span reply_of(const struct request *r, size_t n)
{
	static u8 buf[REQUESTS_MAX][64], big[70000];
	u8 *to = n > 64 ? big : buf[r - w.request];

	size_t asked = (size_t)MAX(r->dns_n, 0);

	if (n == 0)
		n = asked;
	memset(to, 0, n);
	memcpy(to, r->dns, MIN(n, asked));
	if (n > 2)
		to[2] |= 0x80;
	return SPAN(to, n);
}

static void reply_h1(u16 status, const char *type, struct span body)
{
	u8 buf[512];
	struct wr out = wr_init(buf, sizeof(buf));

	http_put_status(&out, status);
	if (type)
		http_put_field(&out, "content-type", SPAN(type, strlen(type)));
	http_put_field_u64(&out, "content-length", body.n);
	http_put_end(&out);
	server_says(wr_span(&out));
	server_says(body);
}

static void reply_with(u32 i, u16 status, const char *type, struct span body)
{
	struct request *r = &w.request[i];
	char code[8];
	snprintf(code, sizeof(code), "%u", status);
	const nghttp2_nv fields[] = { s_nv(":status", code), s_nv("content-type", type ? type : "") };
	nghttp2_data_provider source = { { .ptr = r }, s_body };

	if (w.h1) {
		reply_h1(status, type, body);
		return;
	}
	r->body = body;
	EXPECT_EQ(nghttp2_submit_response(w.h2, r->stream, fields, type ? 2 : 1, body.n ? &source : NULL), 0);
}

static void reply(u32 i)
{
	reply_with(i, 200, REPLY_TYPE, reply_of(&w.request[i], 0));
}

static bool is_answered(u32 id)
{
	const struct answered *a = &w.answer[id];

	return a->times == 1 && a->error == 0 && a->status == 200;
}
