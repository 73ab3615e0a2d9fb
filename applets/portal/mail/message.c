#include "applets/portal/mail/message.h"

#include "applets/portal/mail/config.h"
#include "applets/portal/web/html.h"
#include "core/base/calendar.h"
#include "core/base/encode.h"
#include "core/base/utf8.h"
#include "core/http/http.h"
#include "core/http/url.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SENDER_NAME "emberbox"
#define NAME_MAX_BYTES 100u  /* of accounts, people, directories */
#define CODE_MAX 64u
#define WORD_BYTES 39u	     /* of text in one encoded word: 52 in base64; with frame and "Subject: " it fits a line of 76 (RFC 2047 §2) */
#define SUBJECT_PLAIN_MAX 66u /* with its name it fits a line of 78 */
#define QP_LINE_MAX 76u
#define USUAL_BYTES 4000u

/* ---- what people typed ------------------------------------------------------------------------------------------------------------------ */

/* Line and paragraph separators, and what turns the direction of the text around it. */
static bool is_trick(const u8 *p, size_t len)
{
	return len == 3 && p[0] == 0xe2 && ((p[1] == 0x80 && p[2] >= 0xa8 && p[2] <= 0xae) || (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
}

/* One line of valid UTF-8, cut at a character. */
static const char *clean(char *out, size_t cap, const char *text)
{
	const u8 *p = (const u8 *)(text ? text : "");
	size_t n = strlen((const char *)p), used = 0;

	for (size_t at = 0, len; at < n; at += len) {
		len = utf8_char(p + at, n - at, NULL);
		bool is_bad = len == 0 || p[at] < 0x20 || p[at] == 0x7f || (len == 2 && p[at] == 0xc2 && p[at + 1] < 0xa0) || is_trick(p + at, len);
		len = len ? len : 1;
		if (used + len >= cap)
			break;
		if (is_bad) {
			out[used++] = ' ';
		} else {
			memcpy(out + used, p + at, len);
			used += len;
		}
	}
	out[used] = 0;
	return out;
}

static bool is_link(const char *url)
{
	struct url u;

	if (!url || url_parse(SPAN(url, strlen(url)), &u) || !(url_scheme_is(&u, "https") || url_scheme_is(&u, "http")))
		return false;
	for (; *url; url++)
		if (*url <= ' ' || *url >= 0x7f || strchr("<>\"\\^`{|}", *url))
			return false;
	return true;
}

static bool is_code(const char *code)
{
	size_t n = code ? strlen(code) : 0;

	for (size_t i = 0; i < n; i++)
		if (code[i] <= ' ' || code[i] >= 0x7f)
			return false;
	return n > 0 && n <= CODE_MAX;
}

/* ---- both forms at once -------------------------------------------------------------------------------------------------------------------- */

static void para(struct mail_text *o, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void para(struct mail_text *o, const char *fmt, ...)
{
	char text[2 * MAIL_VALUE_MAX + 400];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	strbuf_printf(&o->text, "%s\n\n", text);
	strbuf_puts(&o->html, "<p>");
	html_str(&o->html, text);
	strbuf_puts(&o->html, "</p>\n");
}

static void big_code(struct mail_text *o, const char *code)
{
	strbuf_printf(&o->text, "    %s\n\n", code);
	strbuf_puts(&o->html, "<p style=\"font:bold 28px ui-monospace,monospace;letter-spacing:4px\">");
	html_str(&o->html, code);
	strbuf_puts(&o->html, "</p>\n");
}

static void link_to(struct mail_text *o, const char *label, const char *url)
{
	strbuf_printf(&o->text, "%s:\n%s\n\n", label, url);
	strbuf_puts(&o->html, "<p><a href=\"");
	html_str(&o->html, url);
	strbuf_puts(&o->html, "\" style=\"display:inline-block;padding:10px 16px;border-radius:6px;background:#b8400c;color:#fff\">");
	html_str(&o->html, label);
	strbuf_puts(&o->html, "</a></p>\n<p style=\"font-size:13px;color:#555;word-break:break-all\">");
	html_str(&o->html, url);
	strbuf_puts(&o->html, "</p>\n");
}

static void fact(struct mail_text *o, const char *label, const char *value)
{
	char line[MAIL_VALUE_MAX];

	clean(line, sizeof(line), value);
	if (!*line)
		return;
	strbuf_printf(&o->text, "%s: %s\n", label, line);
	strbuf_puts(&o->html, "<div style=\"font-size:13px;color:#555\">");
	html_str(&o->html, label);
	strbuf_puts(&o->html, ": ");
	html_str(&o->html, line);
	strbuf_puts(&o->html, "</div>\n");
}

static void list(struct mail_text *o, const struct mail *m)
{
	char line[MAIL_VALUE_MAX];
	u32 n = MIN(m->n_lines, MAIL_LINES_MAX);

	strbuf_puts(&o->html, "<ul>\n");
	for (u32 i = 0; i < n; i++) {
		clean(line, sizeof(line), m->lines[i]);
		strbuf_printf(&o->text, "  * %s\n", line);
		strbuf_puts(&o->html, "<li>");
		html_str(&o->html, line);
		strbuf_puts(&o->html, "</li>\n");
	}
	strbuf_puts(&o->text, "\n");
	strbuf_puts(&o->html, "</ul>\n");
	if (m->n_lines > n)
		para(o, "and %u more", (unsigned)(m->n_lines - n));
}

static char *format_time(u64 wall, char *out, size_t cap)
{
	static const char *const months[] = { "January", "February", "March", "April", "May", "June", "July", "August", "September",
					      "October", "November", "December" };
	u64 secs = wall / NSEC_PER_SEC;
	struct calendar_date d = calendar_date(secs / 86400);

	snprintf(out, cap, "%u %s %u, %02u:%02u UTC", d.day, months[d.month - 1], d.year, (unsigned)(secs / 3600 % 24), (unsigned)(secs / 60 % 60));
	return out;
}

/* Who asked: so that somebody who did not can tell. */
static void origin(struct mail_text *o, const struct mail *m, u64 wall)
{
	char text[64];

	fact(o, "Requested", format_time(wall, text, sizeof(text)));
	if (m->remote_ip.family)
		fact(o, "From address", ip_format(&m->remote_ip, text));
	fact(o, "With", m->user_agent);
}

static void until(struct mail_text *o, const struct mail *m)
{
	char text[64];

	if (m->expires_at)
		para(o, "It works once, until %s.", format_time(m->expires_at, text, sizeof(text)));
	else
		para(o, "It works once.");
}

/* ---- what is said -------------------------------------------------------------------------------------------------------------------------- */

/* Cleaned and cut; `account` and `by` are never empty. */
struct names {
	char account[NAME_MAX_BYTES + 1], by[NAME_MAX_BYTES + 1], subject[NAME_MAX_BYTES + 1], reason[MAIL_VALUE_MAX + 1];
};

static void set_subject(struct mail_text *o, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void set_subject(struct mail_text *o, const char *fmt, ...)
{
	char text[MAIL_SUBJECT_MAX + 1];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	clean(o->subject, sizeof(o->subject), text); /* what was cut may end within a character */
}

static void write_code(const struct mail *m, const struct names *n, u64 wall, struct mail_text *o)
{
	set_subject(o, "Your sign-in code for %s", n->account);
	para(o, "Your code to sign in to %s:", n->account);
	big_code(o, m->code);
	if (m->url)
		link_to(o, "Or sign in with this link, in the same browser", m->url);
	para(o, "Code and link work for 15 minutes, once. Nobody will ever ask you for them.");
	origin(o, m, wall);
	para(o, "If that was not you, you need not do anything: without this code nobody gets in.");
}

static void write_welcome(const struct mail *m, const struct names *n, struct mail_text *o)
{
	set_subject(o, "Welcome to %s", n->account);
	para(o, "You have been added to %s.", n->account);
	para(o, "Sign in with this address:");
	link_to(o, "Sign in", m->url);
	para(o, "To reach what has been shared with you, install the client and sign in there too.");
}

static void write_invite(const struct mail *m, const struct names *n, struct mail_text *o)
{
	set_subject(o, "Your access to %s", n->account);
	para(o, "%s invites you to %s.", n->by, n->account);
	link_to(o, "Choose how you sign in", m->url);
	until(o, m);
	para(o, "If you do not expect this, ask the person who sent it before you open the link.");
}

static void write_recovery(const struct mail *m, const struct names *n, u64 wall, struct mail_text *o)
{
	set_subject(o, "A new way in to %s", n->account);
	para(o, "With this link you can choose anew how you sign in to %s:", n->account);
	link_to(o, "Choose how you sign in", m->url);
	until(o, m);
	origin(o, m, wall);
	para(o, "If you did not ask for it, tell an administrator of %s, and do not open it.", n->account);
}

static void write_test(const struct mail *m, const struct names *n, u64 wall, struct mail_text *o)
{
	set_subject(o, "Test mail from your portal");
	para(o, "Mail works: this one was asked for on the settings page by %s.", n->by);
	origin(o, m, wall);
}

static void write_sync(const struct mail *m, const struct names *n, struct mail_text *o)
{
	set_subject(o, "The directory %s cannot be read", n->subject);
	para(o, "People and groups of %s are no longer brought up to date from the directory \"%s\".", n->account, n->subject);
	para(o, "The reason: %s", n->reason);
	para(o, "Nobody has lost access by this. Whoever leaves your organisation keeps it until the directory can be read again.");
	link_to(o, "Look at the directory", m->url);
}

static void write_outdated(const struct mail *m, const struct names *n, struct mail_text *o)
{
	set_subject(o, m->n_lines == 1 ? "A gateway of %s needs an update" : "Gateways of %s need an update", n->account);
	para(o, "A newer version is out for:");
	list(o, m);
	para(o, "Old gateways may refuse new clients some day.");
	link_to(o, "Look at the gateways", m->url);
}

static void write_limits(const struct mail *m, const struct names *n, struct mail_text *o)
{
	set_subject(o, "%s is over a limit", n->account);
	para(o, "%s has more than it is meant to have:", n->account);
	list(o, m);
	link_to(o, "Look at the settings", m->url);
}

static bool has_what_it_needs(const struct mail *m)
{
	bool has_lines = m->n_lines > 0 && m->lines;

	if (m->url && !is_link(m->url))
		return false;
	switch (m->kind) {
	case MAIL_CODE:
		return is_code(m->code);
	case MAIL_WELCOME:
	case MAIL_INVITE:
	case MAIL_RECOVERY:
		return m->url;
	case MAIL_TEST:
		return true;
	case MAIL_SYNC:
		return m->url && m->subject && m->reason;
	case MAIL_OUTDATED:
	case MAIL_LIMITS:
		return m->url && has_lines;
	}
	return false;
}

static void say(const struct mail *m, const struct names *n, u64 wall, struct mail_text *o)
{
	switch (m->kind) {
	case MAIL_CODE:
		write_code(m, n, wall, o);
		break;
	case MAIL_WELCOME:
		write_welcome(m, n, o);
		break;
	case MAIL_INVITE:
		write_invite(m, n, o);
		break;
	case MAIL_RECOVERY:
		write_recovery(m, n, wall, o);
		break;
	case MAIL_TEST:
		write_test(m, n, wall, o);
		break;
	case MAIL_SYNC:
		write_sync(m, n, o);
		break;
	case MAIL_OUTDATED:
		write_outdated(m, n, o);
		break;
	case MAIL_LIMITS:
		write_limits(m, n, o);
		break;
	}
}

int mail_write(const struct mail *m, u64 wall, struct mail_text *out)
{
	struct names n;
	char name[NAME_MAX_BYTES + 1];

	memset(out, 0, sizeof(*out));
	if (!mail_address_is_valid(m->to, NULL) || !has_what_it_needs(m))
		return ERR_INVAL;
	clean(n.account, sizeof(n.account), m->account_name && *m->account_name ? m->account_name : "the portal");
	clean(n.by, sizeof(n.by), m->by && *m->by ? m->by : "An administrator");
	clean(n.subject, sizeof(n.subject), m->subject);
	clean(n.reason, sizeof(n.reason), m->reason);
	(void)strbuf_room(&out->text, USUAL_BYTES); /* so that they do not move, and leave copies of codes behind */
	(void)strbuf_room(&out->html, 2 * USUAL_BYTES);
	strbuf_puts(&out->html, "<!doctype html>\n<html lang=\"en\"><body style=\"font:16px/1.5 system-ui,sans-serif;color:#222;max-width:560px\">\n");
	if (m->to_name && *m->to_name)
		para(out, "Hello %s,", clean(name, sizeof(name), m->to_name));
	say(m, &n, wall, out);
	strbuf_puts(&out->html, "</body></html>\n");
	if (strbuf_ok(&out->text) && strbuf_ok(&out->html))
		return 0;
	mail_text_free(out);
	return ERR_NOMEM;
}

static void wipe(struct strbuf *b)
{
	if (b->p)
		sodium_memzero(b->p, b->cap);
	strbuf_free(b);
}

void mail_text_free(struct mail_text *t)
{
	wipe(&t->text);
	wipe(&t->html);
	memset(t, 0, sizeof(*t));
}

/* ---- the wire ------------------------------------------------------------------------------------------------------------------------------ */

static bool is_plain_header(const char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++)
		if ((u8)text[i] < ' ' || (u8)text[i] >= 0x7f)
			return false;
	return n <= SUBJECT_PLAIN_MAX && !strstr(text, "=?") && (n == 0 || (text[0] != ' ' && text[n - 1] != ' '));
}

/* As encoded words of whole characters, one to a line. */
static void put_words(struct strbuf *o, const char *text)
{
	const u8 *p = (const u8 *)text;
	size_t n = strlen(text);

	for (size_t at = 0; at < n;) {
		char word[BASE64_SIZE(WORD_BYTES)];
		size_t used = 0, len;
		while (at + used < n && (len = utf8_char(p + at + used, n - at - used, NULL)) > 0 && used + len <= WORD_BYTES)
			used += len;
		if (used == 0)
			return; /* not UTF-8: mail_write() leaves none */
		(void)base64_encode(word, sizeof(word), SPAN(p + at, used));
		strbuf_printf(o, "%s=?UTF-8?B?%s?=", at > 0 ? "\r\n " : "", word);
		at += used;
	}
}

static void put_subject(struct strbuf *o, const char *text)
{
	char one_line[MAIL_SUBJECT_MAX + 1];

	clean(one_line, sizeof(one_line), text);
	strbuf_puts(o, "Subject: ");
	if (is_plain_header(one_line))
		strbuf_puts(o, one_line);
	else
		put_words(o, one_line);
	strbuf_puts(o, "\r\n");
}

/* Quoted-printable (RFC 2045 §6.7). What mail programs on the way like to change is encoded too: a line's first '.' and "From ". */
static void put_quoted(struct strbuf *o, const char *text)
{
	size_t column = 0;

	for (const char *p = text; *p; p++) {
		u8 c = (u8)*p;
		if (c == '\n') {
			strbuf_puts(o, "\r\n");
			column = 0;
			continue;
		}
		bool is_last = p[1] == '\n' || p[1] == 0;
		bool is_literal = (c > ' ' && c < 0x7f && c != '=') || ((c == ' ' || c == '\t') && !is_last);
		if (column == 0 && (c == '.' || strncmp(p, "From ", 5) == 0))
			is_literal = false;
		if (column + (is_literal ? 1 : 3) > QP_LINE_MAX - !is_last) {
			strbuf_puts(o, "=\r\n");
			column = 0;
			is_literal &= c != '.' && strncmp(p, "From ", 5) != 0;
		}
		if (is_literal)
			strbuf_putc(o, (char)c);
		else
			strbuf_printf(o, "=%02X", c);
		column += is_literal ? 1 : 3;
	}
	if (column > 0)
		strbuf_puts(o, "\r\n");
}

static void put_part(struct strbuf *o, const char *id, const char *type, const char *text)
{
	strbuf_printf(o, "--=_%s\r\nContent-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", id, type);
	put_quoted(o, text);
}

int mail_compose(const struct mail_envelope *e, struct strbuf *out)
{
	char id[UUID_STRLEN], date[HTTP_DATE_STRLEN];

	if (!mail_address_is_valid(e->from, NULL) || !mail_address_is_valid(e->to, NULL))
		return ERR_INVAL;
	uuid_format(&e->id, id);
	http_date_format(e->wall / NSEC_PER_SEC, date);
	date[strlen(date) - strlen("GMT")] = 0; /* which is obsolete in mails */
	(void)strbuf_room(out, USUAL_BYTES + 3 * (strlen(e->text) + strlen(e->html)));
	strbuf_printf(out, "From: " SENDER_NAME " <%s>\r\nTo: <%s>\r\n", e->from, e->to);
	put_subject(out, e->subject);
	strbuf_printf(out, "Date: %s+0000\r\nMessage-ID: <%s%s>\r\n", date, id, strrchr(e->from, '@'));
	strbuf_puts(out, "Auto-Submitted: auto-generated\r\nX-Auto-Response-Suppress: All\r\nMIME-Version: 1.0\r\n");
	strbuf_printf(out, "Content-Type: multipart/alternative;\r\n boundary=\"=_%s\"\r\n\r\n", id); /* no quoted-printable line has "=_" */
	put_part(out, id, "plain", e->text);
	put_part(out, id, "html", e->html);
	strbuf_printf(out, "--=_%s--\r\n", id);
	return strbuf_ok(out) ? 0 : ERR_NOMEM;
}
