#include "applets/portal/outbound/smtp.h"

#include "core/base/encode.h"
#include "core/base/strbuf.h"
#include "core/base/utf8.h"
#include "core/http/http.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_MAX 4u
#define CREDENTIAL_MAX 512u
#define ADDRESS_MAX 320u
#define STUFFING_USUAL 256u

enum state {
	ST_IDLE, /* not connected yet */
	ST_GREETING,
	ST_EHLO,
	ST_STARTTLS,
	ST_HANDSHAKE,
	ST_AUTH,
	ST_LOGIN_USER,
	ST_LOGIN_PASSWORD,
	ST_READY,
	ST_MAIL,
	ST_RCPT,
	ST_DATA,
	ST_BODY,
	ST_RSET,
	ST_QUIT,
	ST_CLOSED,
};

struct reply {
	u16 code;
	u32 lines;
	char text[SMTP_TEXT_MAX];
	size_t text_n;
};

struct smtp {
	enum state state;
	char *helo, user[CREDENTIAL_MAX], password[CREDENTIAL_MAX];
	bool wants_starttls, is_secure, is_encrypted;
	bool has_starttls, has_plain, has_login, has_auth, has_utf8; /* what the last EHLO offered */
	u64 size_max;						     /* 0: not said */
	u64 deadline;
	struct strbuf out;
	size_t out_at;
	char line[SMTP_LINE_MAX];
	size_t line_n;
	struct reply reply;
	struct smtp_event events[EVENTS_MAX];
	u32 events_first, events_n;
	char to[ADDRESS_MAX];
	struct strbuf body; /* dots stuffed, with the line that ends it */
};

/* ---- to the owner ------------------------------------------------------------------------------------------------------------------ */

static struct smtp_event *push_event(struct smtp *s, enum smtp_event_type type)
{
	struct smtp_event *e = &s->events[(s->events_first + s->events_n) % EVENTS_MAX];

	s->events_n += s->events_n < EVENTS_MAX;
	*e = (struct smtp_event){ .type = type };
	return e;
}

void smtp_clean(char *out, size_t cap, const char *in, size_t n)
{
	size_t at = 0, used = 0;

	while (at < n) {
		size_t len = utf8_char((const u8 *)in + at, n - at, NULL);
		bool is_bad = len == 0 || (u8)in[at] < 0x20 || in[at] == 0x7f || (len == 2 && (u8)in[at] == 0xc2 && (u8)in[at + 1] < 0xa0);
		len = len ? len : 1;
		if (used + (is_bad ? 1 : len) >= cap)
			break;
		if (is_bad)
			out[used++] = '?';
		else
			memcpy(out + used, in + at, len);
		used += is_bad ? 0 : len;
		at += len;
	}
	out[used] = 0;
}

static void drop_output(struct smtp *s)
{
	if (s->out.p)
		sodium_memzero(s->out.p, s->out.cap);
	strbuf_reset(&s->out);
	s->out_at = 0;
}

static void drop_body(struct smtp *s)
{
	if (s->body.p)
		sodium_memzero(s->body.p, s->body.cap);
	strbuf_free(&s->body);
}

static void push_result(struct smtp *s, enum smtp_verdict verdict, const char *text)
{
	struct smtp_event *e = push_event(s, SMTP_RESULT);

	drop_body(s);
	e->verdict = verdict;
	snprintf(e->text, sizeof(e->text), "%s", text);
}

static bool has_mail(const struct smtp *s)
{
	return s->state >= ST_MAIL && s->state <= ST_BODY;
}

static void close_with(struct smtp *s, const char *text)
{
	if (s->state == ST_CLOSED)
		return;
	if (has_mail(s))
		push_result(s, SMTP_LATER, text);
	s->state = ST_CLOSED;
	s->deadline = TIME_NEVER;
	drop_output(s);
	snprintf(push_event(s, SMTP_CLOSED)->text, SMTP_TEXT_MAX, "%s", text);
}

static void close_by_reply(struct smtp *s, const char *what)
{
	char text[SMTP_TEXT_MAX];

	snprintf(text, sizeof(text), "%.60s: %.160s", what, s->reply.text);
	close_with(s, text);
}

static void get_ready(struct smtp *s)
{
	s->state = ST_READY;
	s->deadline = TIME_NEVER;
	push_event(s, SMTP_READY);
}

/* ---- to the server ------------------------------------------------------------------------------------------------------------------- */

static void go(struct smtp *s, u64 now, enum state next)
{
	s->state = next;
	s->deadline = time_add(now, next == ST_BODY ? SMTP_ACCEPT_TIMEOUT : SMTP_TIMEOUT);
	if (!strbuf_ok(&s->out))
		close_with(s, "out of memory");
}

static void say(struct smtp *s, u64 now, enum state next, const char *fmt, ...) PRINTF_LIKE(4, 5);
static void say(struct smtp *s, u64 now, enum state next, const char *fmt, ...)
{
	char line[SMTP_LINE_MAX];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	strbuf_add(&s->out, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
	strbuf_puts(&s->out, "\r\n");
	sodium_memzero(line, sizeof(line));
	go(s, now, next);
}

static void say_base64(struct smtp *s, u64 now, enum state next, const char *prefix, struct span secret)
{
	char text[BASE64_SIZE(2 * CREDENTIAL_MAX + 4)];

	(void)base64_encode(text, sizeof(text), secret);
	say(s, now, next, "%s%s", prefix, text);
	sodium_memzero(text, sizeof(text));
}

static void say_hello(struct smtp *s, u64 now)
{
	s->has_starttls = s->has_plain = s->has_login = s->has_auth = s->has_utf8 = false;
	s->size_max = 0;
	say(s, now, ST_EHLO, "EHLO %s", s->helo);
}

static void authenticate(struct smtp *s, u64 now)
{
	u8 plain[2 * CREDENTIAL_MAX + 2];
	size_t user = strlen(s->user), password = strlen(s->password);

	if (!s->is_secure && !s->is_encrypted) {
		close_with(s, "a password would travel in the clear: use smtps://, or ?insecure if that is meant");
	} else if (s->has_plain) {
		plain[0] = 0;
		memcpy(plain + 1, s->user, user + 1);
		memcpy(plain + user + 2, s->password, password);
		say_base64(s, now, ST_AUTH, "AUTH PLAIN ", SPAN(plain, user + password + 2));
		sodium_memzero(plain, sizeof(plain));
	} else if (s->has_login) {
		say(s, now, ST_LOGIN_USER, "AUTH LOGIN");
	} else {
		close_with(s, s->has_auth ? "the mail server takes passwords neither by PLAIN nor by LOGIN" : "the mail server takes no passwords here");
	}
}

static void introduced(struct smtp *s, u64 now)
{
	if (s->wants_starttls && !s->is_encrypted && !s->has_starttls)
		close_with(s, "the mail server does not offer STARTTLS: nothing is sent in the clear");
	else if (s->wants_starttls && !s->is_encrypted)
		say(s, now, ST_STARTTLS, "STARTTLS");
	else if (s->user[0])
		authenticate(s, now);
	else
		get_ready(s);
}

/* ---- replies ------------------------------------------------------------------------------------------------------------------------- */

static void note_auth(struct smtp *s, struct span kinds)
{
	s->has_auth = true;
	while (kinds.n > 0) {
		const u8 *space = memchr(kinds.p, ' ', kinds.n);
		struct span word = SPAN(kinds.p, space ? (size_t)(space - kinds.p) : kinds.n);
		s->has_plain |= span_eq_nocase(word, "PLAIN");
		s->has_login |= span_eq_nocase(word, "LOGIN");
		kinds = SPAN(word.p + word.n + (space != NULL), kinds.n - word.n - (space != NULL));
	}
}

/* A line of the answer to EHLO, behind its code. "AUTH=LOGIN" is how old servers say it to old clients. */
static void note_extension(struct smtp *s, struct span line)
{
	size_t n = 0;

	while (n < line.n && line.p[n] != ' ' && line.p[n] != '=')
		n++;
	struct span word = SPAN(line.p, n), rest = n < line.n ? SPAN(line.p + n + 1, line.n - n - 1) : SPAN_NONE;
	if (span_eq_nocase(word, "STARTTLS"))
		s->has_starttls = true;
	else if (span_eq_nocase(word, "SMTPUTF8"))
		s->has_utf8 = true;
	else if (span_eq_nocase(word, "AUTH"))
		note_auth(s, rest);
	else if (span_eq_nocase(word, "SIZE"))
		for (size_t i = 0; i < rest.n && i < 18 && rest.p[i] >= '0' && rest.p[i] <= '9'; i++)
			s->size_max = s->size_max * 10 + (u64)(rest.p[i] - '0');
}

static void after_mail(struct smtp *s, u64 now, enum smtp_verdict verdict)
{
	push_result(s, verdict, s->reply.text);
	if (s->state == ST_BODY)
		get_ready(s);
	else
		say(s, now, ST_RSET, "RSET");
}

/* 530, 534, 535, 538: the server wants another login, which says nothing about the recipient. */
static void mail_failed(struct smtp *s, u64 now)
{
	u16 code = s->reply.code;
	bool is_about_us = code == 530 || code == 534 || code == 535 || code == 538;

	after_mail(s, now, code >= 500 && !is_about_us ? SMTP_REFUSED : SMTP_LATER);
}

static void begin_tls(struct smtp *s, u64 now)
{
	s->state = ST_HANDSHAKE;
	s->deadline = time_add(now, SMTP_TIMEOUT);
	push_event(s, SMTP_START_TLS);
}

static void take_reply(struct smtp *s, u64 now)
{
	u16 code = s->reply.code;
	u32 kind = code / 100;

	if (code == 421 && s->state != ST_QUIT) {
		close_by_reply(s, "the mail server closes the connection");
		return;
	}
	switch (s->state) {
	case ST_GREETING:
		if (code == 220)
			say_hello(s, now);
		else
			close_by_reply(s, "the mail server does not want to talk");
		break;
	case ST_EHLO:
		if (kind == 2)
			introduced(s, now);
		else
			close_by_reply(s, "the mail server does not accept our greeting");
		break;
	case ST_STARTTLS:
		if (code == 220)
			begin_tls(s, now);
		else
			close_by_reply(s, "the mail server does not start TLS");
		break;
	case ST_LOGIN_USER:
		if (code == 334)
			say_base64(s, now, ST_LOGIN_PASSWORD, "", SPAN(s->user, strlen(s->user)));
		else
			close_by_reply(s, "the mail server does not accept our user and password");
		break;
	case ST_LOGIN_PASSWORD:
		if (code == 334)
			say_base64(s, now, ST_AUTH, "", SPAN(s->password, strlen(s->password)));
		else
			close_by_reply(s, "the mail server does not accept our user and password");
		break;
	case ST_AUTH:
		if (code == 235)
			get_ready(s);
		else
			close_by_reply(s, "the mail server does not accept our user and password");
		break;
	case ST_MAIL:
		if (kind == 2)
			say(s, now, ST_RCPT, "RCPT TO:<%s>", s->to);
		else
			mail_failed(s, now);
		break;
	case ST_RCPT:
		if (kind == 2)
			say(s, now, ST_DATA, "DATA");
		else
			mail_failed(s, now);
		break;
	case ST_DATA:
		if (code == 354) {
			(void)strbuf_room(&s->out, s->body.n + 1);
			strbuf_add(&s->out, s->body.p, s->body.n);
			go(s, now, ST_BODY);
		} else {
			mail_failed(s, now);
		}
		break;
	case ST_BODY:
		if (kind == 2)
			after_mail(s, now, SMTP_ACCEPTED);
		else
			mail_failed(s, now);
		break;
	case ST_RSET:
		if (kind == 2)
			get_ready(s);
		else
			close_by_reply(s, "the mail server does not begin anew");
		break;
	case ST_QUIT:
		close_with(s, "done");
		break;
	case ST_READY:
		close_by_reply(s, "the mail server spoke without being asked");
		break;
	case ST_IDLE:
	case ST_HANDSHAKE:
	case ST_CLOSED:
		break;
	}
}

static bool is_reply_line(const char *line, size_t n)
{
	return n >= 3 && line[0] >= '2' && line[0] <= '5' && line[1] >= '0' && line[1] <= '9' && line[2] >= '0' && line[2] <= '9' &&
	       (n == 3 || line[3] == ' ' || line[3] == '-');
}

/* The text of a reply for people: of all lines, those that fit. */
static void keep_text(struct reply *r, const char *line, size_t n)
{
	char clean[SMTP_TEXT_MAX];
	size_t skip = r->text_n > 0 ? MIN(n, (size_t)4) : 0; /* the code is said once */

	smtp_clean(clean, sizeof(clean), line + skip, n - skip);
	size_t len = strlen(clean), gap = r->text_n > 0;
	if (r->text_n + gap + len >= sizeof(r->text))
		return;
	if (gap)
		r->text[r->text_n++] = ' ';
	memcpy(r->text + r->text_n, clean, len + 1);
	r->text_n += len;
}

static void take_line(struct smtp *s, u64 now)
{
	const char *line = s->line;
	size_t n = s->line_n;
	struct reply *r = &s->reply;

	s->line_n = 0;
	if (!is_reply_line(line, n)) {
		close_with(s, "the mail server does not speak SMTP");
		return;
	}
	u16 code = (u16)((line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0'));
	if (r->lines > 0 && code != r->code) {
		close_with(s, "the mail server contradicts itself within one reply");
		return;
	}
	if (s->state == ST_EHLO && r->lines > 0 && n > 4)
		note_extension(s, SPAN(line + 4, n - 4));
	keep_text(r, line, n);
	r->code = code;
	r->lines++;
	if (n > 3 && line[3] == '-') {
		if (r->lines == SMTP_REPLY_LINES_MAX)
			close_with(s, "the mail server's reply does not end");
		return;
	}
	take_reply(s, now);
	*r = (struct reply){ .code = 0 };
}

/* ---- doors ------------------------------------------------------------------------------------------------------------------------------- */

static bool fits(const char *text)
{
	return !text || strlen(text) < CREDENTIAL_MAX;
}

struct smtp *smtp_new(const struct smtp_config *cfg)
{
	struct smtp *s = fits(cfg->user) && fits(cfg->password) ? calloc(1, sizeof(*s)) : NULL;

	if (!s)
		return NULL;
	s->helo = strdup(cfg->helo && *cfg->helo ? cfg->helo : "localhost");
	if (!s->helo) {
		free(s);
		return NULL;
	}
	snprintf(s->user, sizeof(s->user), "%s", cfg->user ? cfg->user : "");
	snprintf(s->password, sizeof(s->password), "%s", cfg->password ? cfg->password : "");
	s->wants_starttls = cfg->wants_starttls;
	s->is_secure = cfg->is_secure;
	s->deadline = TIME_NEVER;
	return s;
}

void smtp_free(struct smtp *s)
{
	if (!s)
		return;
	drop_output(s);
	drop_body(s);
	strbuf_free(&s->out);
	free(s->helo);
	sodium_memzero(s, sizeof(*s));
	free(s);
}

void smtp_opened(struct smtp *s, u64 now)
{
	if (s->state == ST_IDLE)
		go(s, now, ST_GREETING);
}

void smtp_input(struct smtp *s, u64 now, struct span bytes)
{
	for (size_t i = 0; i < bytes.n && s->state != ST_CLOSED; i++) {
		char c = (char)bytes.p[i];
		if (s->state == ST_HANDSHAKE || s->state == ST_IDLE) {
			close_with(s, "the mail server sent more than its consent to TLS: somebody may sit between");
		} else if (c == '\n') {
			s->line_n -= s->line_n > 0 && s->line[s->line_n - 1] == '\r';
			take_line(s, now);
		} else if (s->line_n == sizeof(s->line)) {
			close_with(s, "the mail server's line does not end");
		} else {
			s->line[s->line_n++] = c;
		}
	}
}

void smtp_secured(struct smtp *s, u64 now)
{
	if (s->state != ST_HANDSHAKE)
		return;
	s->is_encrypted = true;
	s->line_n = 0;
	say_hello(s, now);
}

void smtp_failed(struct smtp *s, const char *what)
{
	close_with(s, s->state == ST_QUIT ? "done" : what);
}

struct span smtp_output(const struct smtp *s)
{
	return s->out.p ? SPAN(s->out.p + s->out_at, s->out.n - s->out_at) : SPAN_NONE;
}

void smtp_output_done(struct smtp *s, size_t n)
{
	s->out_at += n;
	if (s->out_at >= s->out.n)
		drop_output(s);
}

u64 smtp_next_timeout(const struct smtp *s)
{
	return s->deadline;
}

void smtp_timeout(struct smtp *s, u64 now)
{
	if (now >= s->deadline)
		smtp_failed(s, s->state == ST_HANDSHAKE ? "TLS was not ready in time" : "the mail server did not answer in time");
}

bool smtp_poll_event(struct smtp *s, struct smtp_event *out)
{
	if (s->events_n == 0)
		return false;
	*out = s->events[s->events_first];
	s->events_first = (s->events_first + 1) % EVENTS_MAX;
	s->events_n--;
	return true;
}

/* ---- a mail -------------------------------------------------------------------------------------------------------------------------------- */

/* Nothing that ends a command or its argument. */
static bool is_envelope_address(const char *address, bool *is_wide)
{
	size_t n = strlen(address);

	for (size_t i = 0; i < n; i++) {
		u8 c = (u8)address[i];
		if (c <= ' ' || c == 0x7f || c == '<' || c == '>')
			return false;
		*is_wide |= c >= 0x80;
	}
	return n > 0 && n < ADDRESS_MAX && utf8_is_valid(SPAN(address, n));
}

/* RFC 5321 §4.5.2, and refuses what is no line. */
static int stuff(struct strbuf *out, struct span message)
{
	bool is_line_start = true;

	(void)strbuf_room(out, message.n + STUFFING_USUAL); /* so that it does not move, and leave copies behind */
	for (size_t i = 0; i < message.n; i++) {
		u8 c = message.p[i];
		bool is_end = c == '\r' && i + 1 < message.n && message.p[i + 1] == '\n';
		if (c == 0 || (c == '\r' && !is_end) || (c == '\n' && (i == 0 || message.p[i - 1] != '\r')))
			return ERR_INVAL;
		if (is_line_start && c == '.')
			strbuf_putc(out, '.');
		strbuf_putc(out, (char)c);
		is_line_start = c == '\n';
	}
	if (!is_line_start)
		strbuf_puts(out, "\r\n");
	strbuf_puts(out, ".\r\n");
	return strbuf_ok(out) ? 0 : ERR_NOMEM;
}

int smtp_send(struct smtp *s, u64 now, const struct smtp_mail *m)
{
	bool is_wide = false;
	int rc;

	if (s->state != ST_READY)
		return ERR_STATE;
	if (!is_envelope_address(m->from, &is_wide) || !is_envelope_address(m->to, &is_wide))
		return ERR_INVAL;
	if (m->message.n > SMTP_MESSAGE_MAX)
		return ERR_LIMIT;
	rc = stuff(&s->body, m->message);
	if (rc) {
		drop_body(s);
		return rc;
	}
	snprintf(s->to, sizeof(s->to), "%s", m->to);
	if (is_wide && !s->has_utf8) {
		push_result(s, SMTP_REFUSED, "the mail server cannot deliver to addresses beyond ASCII (SMTPUTF8)");
		get_ready(s);
	} else if (s->size_max > 0 && s->body.n > s->size_max) {
		push_result(s, SMTP_REFUSED, "the mail server does not take mails of this size");
		get_ready(s);
	} else {
		say(s, now, ST_MAIL, "MAIL FROM:<%s>%s", m->from, is_wide ? " SMTPUTF8 BODY=8BITMIME" : "");
	}
	return 0;
}

void smtp_quit(struct smtp *s, u64 now)
{
	if (s->state == ST_READY)
		say(s, now, ST_QUIT, "QUIT");
	else
		close_with(s, "done");
}
