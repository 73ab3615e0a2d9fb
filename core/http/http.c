#include "core/http/http.h"

#include "core/base/encode.h"

#include <stdlib.h>
#include <string.h>

enum state { ST_HEAD, ST_FIXED, ST_UNTIL_CLOSE, ST_CHUNK_SIZE, ST_CHUNK_DATA, ST_CHUNK_END, ST_TRAILER, ST_DONE, ST_FAILED };

struct http_parser {
	enum http_kind kind;
	enum state state;
	bool wants_no_body;
	u16 status; /* to answer when failed */
	u64 body_max, body_seen;
	u64 left;   /* of the body or the chunk */
	struct http_head head;
	size_t buf_len;
	u32 newlines; /* of the blank lines tolerated before a request line */
	size_t line_len;
	size_t trailer_len;
	char line[HTTP_CHUNK_LINE_MAX]; /* chunk-size line */
	char buf[HTTP_HEAD_MAX];        /* head */
};

struct http_parser *http_parser_new(enum http_kind kind, u64 body_max)
{
	struct http_parser *p = calloc(1, sizeof(*p));

	if (p) {
		p->kind = kind;
		p->body_max = body_max ? body_max : HTTP_BODY_MAX;
	}
	return p;
}

void http_parser_free(struct http_parser *p)
{
	free(p);
}

void http_parser_reset(struct http_parser *p)
{
	p->state = ST_HEAD;
	p->wants_no_body = false;
	p->status = 0;
	p->body_seen = 0;
	p->buf_len = 0;
	p->newlines = 0;
}

void http_parser_expect_no_body(struct http_parser *p)
{
	p->wants_no_body = true;
}

const struct http_head *http_parser_head(const struct http_parser *p)
{
	return &p->head;
}

u16 http_parser_status(const struct http_parser *p)
{
	return p->status;
}

static int fail(struct http_parser *p, int err, u16 status)
{
	p->state = ST_FAILED;
	p->status = status;
	return err;
}

/* --- characters ---------------------------------------------------------------------------------------------------------------------- */

static bool is_tchar(u8 c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c != 0 && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_tchar(s.p[i]))
			return false;
	return s.n > 0;
}

/* Visible characters, blanks and bytes above ASCII: what a field value may hold. */
static bool is_field_text(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
			return false;
	return true;
}

static u8 lower(u8 c)
{
	return c >= 'A' && c <= 'Z' ? (u8)(c | 0x20) : c;
}

bool span_eq_nocase(struct span a, const char *b)
{
	if (a.n != strlen(b))
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (lower(a.p[i]) != lower((u8)b[i]))
			return false;
	return true;
}

static struct span trim(struct span s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = SPAN(s.p + 1, s.n - 1);
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* Up to the separator; *rest continues behind it and is SPAN_NONE after the last. */
static struct span cut(struct span *rest, u8 separator)
{
	const u8 *end = rest->n > 0 ? memchr(rest->p, separator, rest->n) : NULL;
	struct span first = end ? SPAN(rest->p, (size_t)(end - rest->p)) : *rest;

	*rest = end ? SPAN(end + 1, rest->n - first.n - 1) : SPAN_NONE;
	return first;
}

/* --- fields ---------------------------------------------------------------------------------------------------------------------------- */

struct span http_field(const struct http_head *h, const char *name)
{
	for (size_t i = 0; i < h->n_fields; i++)
		if (span_eq_nocase(h->field[i].name, name))
			return h->field[i].value;
	return SPAN_NONE;
}

size_t http_field_count(const struct http_head *h, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n_fields; i++)
		n += span_eq_nocase(h->field[i].name, name);
	return n;
}

bool http_list_has(struct span value, const char *token)
{
	struct span rest = value;

	while (rest.p)
		if (span_eq_nocase(trim(cut(&rest, ',')), token))
			return true;
	return false;
}

static int parse_decimal(struct span s, u64 *out)
{
	u64 v = 0;

	if (s.n == 0)
		return ERR_MALFORMED;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (u64)(s.p[i] - '0'), &v))
			return ERR_MALFORMED;
	*out = v;
	return 0;
}

/* --- head ------------------------------------------------------------------------------------------------------------------------------ */

static int parse_version(struct http_parser *p, struct span v)
{
	if (v.n != 8 || memcmp(v.p, "HTTP/", 5) != 0 || v.p[6] != '.' || v.p[5] < '0' || v.p[5] > '9' || v.p[7] < '0' || v.p[7] > '9')
		return fail(p, ERR_MALFORMED, 400);
	if (v.p[5] != '1' || v.p[7] > '1')
		return fail(p, ERR_UNSUPPORTED, 505);
	p->head.minor = (u8)(v.p[7] - '0');
	return 0;
}

static int parse_request_line(struct http_parser *p, struct span line)
{
	struct span rest = line;

	p->head.method = cut(&rest, ' ');
	p->head.target = cut(&rest, ' ');
	if (!rest.p || !is_token(p->head.method) || p->head.target.n == 0)
		return fail(p, ERR_MALFORMED, 400);
	for (size_t i = 0; i < p->head.target.n; i++)
		if (p->head.target.p[i] <= 0x20 || p->head.target.p[i] >= 0x7f)
			return fail(p, ERR_MALFORMED, 400);
	return parse_version(p, rest);
}

static int parse_status_line(struct http_parser *p, struct span line)
{
	struct span rest = line;
	int rc = parse_version(p, cut(&rest, ' '));
	u64 status;

	if (rc)
		return rc;
	struct span code = cut(&rest, ' ');
	if (code.n != 3 || parse_decimal(code, &status) || status < 100 || !is_field_text(rest))
		return fail(p, ERR_MALFORMED, 400);
	p->head.status = (u16)status;
	p->head.reason = rest.p ? rest : SPAN("", 0);
	return 0;
}

static int parse_field(struct http_parser *p, struct span line)
{
	struct http_head *h = &p->head;
	struct span value = line, name = cut(&value, ':');

	if (!value.p || !is_token(name)) /* also folded lines and blanks before the colon */
		return fail(p, ERR_MALFORMED, 400);
	value = trim(value);
	if (!is_field_text(value))
		return fail(p, ERR_MALFORMED, 400);
	if (h->n_fields == HTTP_FIELDS_MAX)
		return fail(p, ERR_LIMIT, 431);
	h->field[h->n_fields++] = (struct http_field){ name, value };
	return 0;
}

static bool has_no_body(const struct http_parser *p)
{
	const struct http_head *h = &p->head;

	if (p->kind == HTTP_REQUEST)
		return !h->is_chunked && !h->has_length;
	return p->wants_no_body || h->status < 200 || h->status == 204 || h->status == 304;
}

/* RFC 9112 §6.3, and nothing that two readers could understand differently. */
static int judge_framing(struct http_parser *p)
{
	struct http_head *h = &p->head;
	size_t codings = http_field_count(h, "transfer-encoding"), lengths = http_field_count(h, "content-length");

	h->is_chunked = h->has_length = h->is_until_close = false;
	if (codings > 0) {
		if (codings > 1 || lengths > 0 || h->minor == 0)
			return fail(p, ERR_MALFORMED, 400);
		if (!span_eq_nocase(http_field(h, "transfer-encoding"), "chunked"))
			return fail(p, ERR_UNSUPPORTED, 501);
		h->is_chunked = true;
	} else if (lengths > 0) {
		if (lengths > 1 || parse_decimal(http_field(h, "content-length"), &h->length))
			return fail(p, ERR_MALFORMED, 400);
		h->has_length = true;
	}
	if (p->kind == HTTP_REQUEST && (http_field_count(h, "host") > 1 || (h->minor == 1 && http_field_count(h, "host") == 0)))
		return fail(p, ERR_MALFORMED, 400);
	struct span connection = http_field(h, "connection");
	h->keep_alive = h->minor == 1 ? !http_list_has(connection, "close") : http_list_has(connection, "keep-alive");
	if (has_no_body(p)) {
		p->state = ST_DONE;
	} else if (h->is_chunked) {
		p->state = ST_CHUNK_SIZE;
		p->line_len = p->trailer_len = 0;
	} else if (h->has_length) {
		if (h->length > p->body_max)
			return fail(p, ERR_LIMIT, 413);
		p->left = h->length;
		p->state = h->length > 0 ? ST_FIXED : ST_DONE;
	} else {
		h->is_until_close = true;
		h->keep_alive = false;
		p->state = ST_UNTIL_CLOSE;
	}
	return 0;
}

/* buf holds everything up to and with the empty line. Lines end in CR LF; a CR or LF elsewhere is refused by the character checks. */
static int parse_head(struct http_parser *p)
{
	struct span rest = SPAN(p->buf, p->buf_len - 2);
	bool is_first = true;

	p->head.n_fields = 0;
	while (rest.n > 0) {
		struct span line = cut(&rest, '\n');
		if (line.n == 0 || line.p[line.n - 1] != '\r')
			return fail(p, ERR_MALFORMED, 400);
		line.n--;
		int rc = !is_first ? parse_field(p, line) : p->kind == HTTP_REQUEST ? parse_request_line(p, line) : parse_status_line(p, line);
		if (rc)
			return rc;
		is_first = false;
	}
	return is_first ? fail(p, ERR_MALFORMED, 400) : judge_framing(p);
}

static int input_head(struct http_parser *p, struct span in, size_t *used)
{
	while (*used < in.n) {
		u8 c = in.p[(*used)++];
		if (p->buf_len == 0 && p->kind == HTTP_REQUEST && (c == '\r' || c == '\n') && p->newlines < 2) {
			p->newlines++; /* RFC 9112 §2.2: an empty line before the request */
			continue;
		}
		if (p->buf_len == sizeof(p->buf))
			return fail(p, ERR_LIMIT, memchr(p->buf, '\n', p->buf_len) ? 431 : 414);
		p->buf[p->buf_len++] = (char)c;
		if (c == 0)
			return fail(p, ERR_MALFORMED, 400);
		if (c == '\n' && (p->buf_len < 2 || p->buf[p->buf_len - 2] != '\r'))
			return fail(p, ERR_MALFORMED, 400);
		if (p->buf_len >= 4 && memcmp(p->buf + p->buf_len - 4, "\r\n\r\n", 4) == 0) {
			int rc = parse_head(p);
			return rc ? rc : HTTP_HEAD;
		}
	}
	return HTTP_MORE;
}

/* --- body ------------------------------------------------------------------------------------------------------------------------------- */

/* `1a;name=value`. The line is without its CR LF. */
static int parse_chunk_size(struct http_parser *p, struct span line)
{
	size_t i = 0;

	p->left = 0;
	for (; i < line.n && hex_digit(line.p[i]) >= 0; i++) {
		if (p->left > p->body_max)
			return fail(p, ERR_LIMIT, 413);
		p->left = p->left << 4 | (u64)hex_digit(line.p[i]);
	}
	if (i == 0 || (i < line.n && line.p[i] != ';') || !is_field_text(line))
		return fail(p, ERR_MALFORMED, 400);
	if (p->left > p->body_max - p->body_seen)
		return fail(p, ERR_LIMIT, 413);
	p->state = p->left > 0 ? ST_CHUNK_DATA : ST_TRAILER;
	p->line_len = 0;
	return 0;
}

static int input_chunk_size(struct http_parser *p, struct span in, size_t *used)
{
	while (*used < in.n) {
		u8 c = in.p[(*used)++];
		if (p->line_len == sizeof(p->line))
			return fail(p, ERR_LIMIT, 400);
		p->line[p->line_len++] = (char)c;
		if (c == '\n') {
			if (p->line_len < 2 || p->line[p->line_len - 2] != '\r')
				return fail(p, ERR_MALFORMED, 400);
			return parse_chunk_size(p, SPAN(p->line, p->line_len - 2));
		}
	}
	return 0;
}

/* CR LF behind the data of a chunk. */
static int input_chunk_end(struct http_parser *p, struct span in, size_t *used)
{
	while (*used < in.n && p->line_len < 2)
		if (in.p[(*used)++] != (u8)"\r\n"[p->line_len++])
			return fail(p, ERR_MALFORMED, 400);
	if (p->line_len == 2) {
		p->line_len = 0;
		p->state = ST_CHUNK_SIZE;
	}
	return 0;
}

/* Trailer fields are skipped up to the empty line; only their lines' ends are judged. line_len counts the present line. */
static int input_trailer(struct http_parser *p, struct span in, size_t *used)
{
	while (*used < in.n) {
		u8 c = in.p[(*used)++];
		if (++p->trailer_len > HTTP_TRAILER_MAX)
			return fail(p, ERR_LIMIT, 431);
		bool after_cr = p->line[0] == '\r' && p->line_len > 0;
		if ((c == '\n') != after_cr || (c < 0x20 && c != '\t' && c != '\r' && c != '\n'))
			return fail(p, ERR_MALFORMED, 400);
		p->line[0] = (char)c;
		if (c != '\n') {
			p->line_len++;
		} else if (p->line_len == 1) {
			p->state = ST_DONE;
			return 0;
		} else {
			p->line_len = 0;
		}
	}
	return 0;
}

/* Body bytes that are simply passed on. */
static int input_data(struct http_parser *p, struct span in, size_t *used, struct span *body)
{
	u64 room = p->state == ST_UNTIL_CLOSE ? p->body_max - p->body_seen : p->left;
	size_t n = (size_t)MIN((u64)(in.n - *used), room);

	if (n == 0 && p->state == ST_UNTIL_CLOSE)
		return fail(p, ERR_LIMIT, 413);
	*body = SPAN(in.p + *used, n);
	*used += n;
	p->body_seen += n;
	if (p->state == ST_UNTIL_CLOSE)
		return HTTP_BODY;
	p->left -= n;
	if (p->left == 0)
		p->state = p->state == ST_FIXED ? ST_DONE : ST_CHUNK_END;
	return HTTP_BODY;
}

int http_parser_input(struct http_parser *p, struct span in, size_t *used, struct span *body)
{
	*used = 0;
	*body = SPAN_NONE;
	if (p->state == ST_HEAD)
		return input_head(p, in, used);
	for (;;) {
		int rc = 0;
		if (p->state == ST_DONE)
			return HTTP_DONE;
		if (p->state == ST_FAILED)
			return ERR_MALFORMED;
		if (*used == in.n)
			return HTTP_MORE;
		switch (p->state) {
		case ST_FIXED:
		case ST_UNTIL_CLOSE:
		case ST_CHUNK_DATA:
			return input_data(p, in, used, body);
		case ST_CHUNK_SIZE:
			rc = input_chunk_size(p, in, used);
			break;
		case ST_CHUNK_END:
			rc = input_chunk_end(p, in, used);
			break;
		case ST_TRAILER:
			rc = input_trailer(p, in, used);
			break;
		case ST_HEAD:
		case ST_DONE:
		case ST_FAILED:
			break;
		}
		if (rc)
			return rc;
	}
}

int http_parser_eof(struct http_parser *p)
{
	if (p->state == ST_DONE || p->state == ST_UNTIL_CLOSE) {
		p->state = ST_DONE;
		return HTTP_DONE;
	}
	return ERR_TRUNCATED;
}
