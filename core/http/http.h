/* core/http/http.h: HTTP/1.1 messages, both ends (RFC 9112), sans-IO.
 *
 * A parser eats bytes as they come and stops behind the head; then the body, framed by Content-Length or chunked coding, comes out in
 * pieces. What is ambiguous is refused rather than guessed (request smuggling): both Content-Length and Transfer-Encoding, differing or
 * repeated lengths, codings other than exactly `chunked`, bare CR, LF alone, folded lines, space before the colon, NUL, HTTP/1.0 with
 * Transfer-Encoding, a second Host.
 *
 *   [head] ──complete──▶ [body] ──all of it──▶ [done]           any violation ──▶ [failed] with the status to answer
 *
 * The head is kept in the parser's own buffer, so all spans of a struct http_head live until http_parser_reset() or _deinit().
 */
#pragma once

#include "core/base/cursor.h"
#include "core/base/err.h"
#include "core/base/types.h"

#define HTTP_HEAD_MAX 16384u   /* request or status line and all fields */
#define HTTP_FIELDS_MAX 124u   /* spec 10 §1.3 */
#define HTTP_CHUNK_LINE_MAX 256u
#define HTTP_TRAILER_MAX 4096u
#define HTTP_BODY_MAX (8u * 1024u * 1024u) /* default of http_parser_init(); 0 there = this */

enum http_kind { HTTP_REQUEST, HTTP_RESPONSE };

struct http_field {
	struct span name, value; /* value without surrounding white space */
};

struct http_head {
	struct span method, target; /* request */
	u16 status;                 /* response */
	struct span reason;         /* response */
	u8 minor;                   /* HTTP/1.minor, 0 or 1 */
	struct http_field field[HTTP_FIELDS_MAX];
	size_t n_fields;
	bool has_length, is_chunked, is_until_close; /* framing of the body; until_close: responses only */
	u64 length;
	bool keep_alive;
};

struct http_parser;

/* `body_max` bounds the body. ERR_NOMEM → NULL. */
struct http_parser *http_parser_new(enum http_kind kind, u64 body_max);
void http_parser_free(struct http_parser *p);
/* The next message on the same connection. */
void http_parser_reset(struct http_parser *p);
/* Response parsers: the request was HEAD, so there is no body whatever the fields say. */
void http_parser_expect_no_body(struct http_parser *p);

enum http_event { HTTP_MORE, HTTP_HEAD, HTTP_BODY, HTTP_DONE };

/* Feeds bytes; `*used` of them were consumed, the rest must be offered again. HTTP_HEAD: the head is complete (http_parser_head()).
 * HTTP_BODY: `*body` is the next piece, borrowed from `in`. HTTP_DONE: message complete; what follows belongs to the next one or, after
 * 101 or CONNECT, to another protocol. HTTP_MORE: everything was consumed. Negative: ERR_MALFORMED, ERR_LIMIT, ERR_UNSUPPORTED; then
 * http_parser_status() is what a server answers before it closes. */
int http_parser_input(struct http_parser *p, struct span in, size_t *used, struct span *body);
/* The connection ended: HTTP_DONE for a body until close, ERR_TRUNCATED otherwise. */
int http_parser_eof(struct http_parser *p);
const struct http_head *http_parser_head(const struct http_parser *p);
u16 http_parser_status(const struct http_parser *p); /* 400, 413, 414, 431, 501, 505 */

/* Field look-up, names case-insensitive. The first value; SPAN_NONE (p == NULL) when absent. */
struct span http_field(const struct http_head *h, const char *name);
size_t http_field_count(const struct http_head *h, const char *name);
/* Whether a comma list contains the token, case-insensitive. */
bool http_list_has(struct span value, const char *token);
bool span_eq_nocase(struct span a, const char *b);

/* Retry-After (RFC 9110 §10.2.3): unsigned seconds, or a date, relative to `wall_secs` (past → 0). ERR_MALFORMED: ignore it. */
int http_retry_after(struct span value, u64 wall_secs, u64 *secs) MUST_CHECK;
/* IMF-fixdate, RFC 850 and asctime forms (RFC 9110 §5.6.7) and RFC 2822 dates with numeric zone, to Unix seconds. */
int http_date_parse(struct span value, u64 *unix_secs) MUST_CHECK;
#define HTTP_DATE_STRLEN 30
char *http_date_format(u64 unix_secs, char buf[static HTTP_DATE_STRLEN]);

/* Writing heads: a line, fields, then http_put_end(). Bytes that could end a line early set the writer's error. */
void http_put_request(struct wr *w, const char *method, struct span target);
void http_put_status(struct wr *w, u16 status);
void http_put_field(struct wr *w, const char *name, struct span value);
void http_put_field_u64(struct wr *w, const char *name, u64 value);
void http_put_end(struct wr *w);
const char *http_reason(u16 status); /* "Not Found"; "Unknown" */
