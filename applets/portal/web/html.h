/* applets/portal/web/html.h: typed HTML output: what `{{ expr }}` of a template becomes.
 *
 * The template compiler (contrib/build/templates.h) knows where in the HTML an expression stands and picks the function; page authors
 * seldom call one by hand. The functions are safe for their place whatever the value is:
 *
 *	html_text      text and quoted attribute values: & < > " ' are escaped, bytes that are not UTF-8 become U+FFFD, control characters vanish
 *	html_url       a whole URL at the begin of href, src, action: relative, https:, http:, mailto: or the clients' deep link; others become "#"
 *	html_url_part  a segment or a value within a URL: everything but unreserved characters and '@' is percent-encoded; "." and ".." vanish
 *	html_url_encoded  text that is a piece of a URL already (a query string): only what cannot stand in a URL is encoded
 *	html_json      JSON in <script type="application/json">: < > & and line separators as \u escapes
 *
 * Strings may be NULL: nothing is written. Times are microseconds since 1970, 0 = none.
 */
#pragma once

#include "core/base/strbuf.h"
#include "core/ip/addr.h"

#define DEEP_LINK_SCHEME "firezone-fd0020211111:" /* spec 60 §3.8 */

/* ---- by type ---- */

void html_str(struct strbuf *o, const char *s);
void html_span(struct strbuf *o, struct span s);
void html_i64(struct strbuf *o, i64 v);
void html_u64(struct strbuf *o, u64 v);
void html_uuid(struct strbuf *o, const struct uuid *id);
void html_ip(struct strbuf *o, const struct ip *ip);             /* nothing for family 0 */
void html_endpoint(struct strbuf *o, const struct endpoint *ep); /* the same */
void html_cidr(struct strbuf *o, const struct cidr *net);

#define html_text(o, v)                        \
	_Generic((v),                          \
		char *: html_str,              \
		const char *: html_str,        \
		struct span: html_span,        \
		u8: html_u64,                  \
		u16: html_u64,                 \
		int: html_i64,                 \
		unsigned: html_u64,            \
		long: html_i64,                \
		unsigned long: html_u64,       \
		long long: html_i64,           \
		unsigned long long: html_u64,  \
		struct uuid *: html_uuid,      \
		const struct uuid *: html_uuid, \
		struct ip *: html_ip,          \
		const struct ip *: html_ip,    \
		struct endpoint *: html_endpoint, \
		const struct endpoint *: html_endpoint, \
		struct cidr *: html_cidr,      \
		const struct cidr *: html_cidr)(o, v)

void html_url(struct strbuf *o, const char *url);
void html_url_encoded(struct strbuf *o, const char *piece);
void html_url_str(struct strbuf *o, const char *s);

#define html_url_part(o, v)                    \
	_Generic((v),                          \
		char *: html_url_str,          \
		const char *: html_url_str,    \
		u8: html_u64,                  \
		u16: html_u64,                 \
		int: html_i64,                 \
		unsigned: html_u64,            \
		long: html_i64,                \
		unsigned long: html_u64,       \
		long long: html_i64,           \
		unsigned long long: html_u64,  \
		struct uuid *: html_uuid,      \
		const struct uuid *: html_uuid)(o, v)

/* Would html_url() write it? For those who check a link before they store it. */
bool html_url_is_safe(const char *url);

/* ---- filters: `{{ value | name(more) }}`. Those of text stand in text and in attributes, those of markup in text only. ---- */

void html_json(struct strbuf *o, const char *json);

void html_or(struct strbuf *o, const char *s, const char *otherwise); /* s, or the other when NULL or empty */
void html_yesno(struct strbuf *o, bool v);			      /* "yes", "no" */
void html_initials(struct strbuf *o, const char *name);		      /* "Ada Lovelace" → "AL" */
void html_short(struct strbuf *o, const struct uuid *id);	      /* its first eight digits */
void html_count(struct strbuf *o, u64 n);			      /* "10,000" */
void html_plural(struct strbuf *o, u64 n, const char *one, const char *many); /* "1 site", "10,000 sites" */
void html_bytes(struct strbuf *o, u64 n);			      /* "512 B", "1.2 MiB" */
void html_duration(struct strbuf *o, u64 secs);			      /* "45 s", "2 h 5 min", "3 d 4 h" */
void html_iso(struct strbuf *o, i64 time);			      /* "2026-04-01T12:00:00Z" */
void html_date(struct strbuf *o, i64 time);			      /* "2026-04-01" */
void html_local(struct strbuf *o, i64 time);			      /* "2026-04-01T12:00", as datetime-local inputs want it, UTC */

/* Markup: <time datetime="…" title="…">. The script turns their text into the viewer's zone. "never" without a time. */
void html_ago(struct strbuf *o, i64 time, i64 now);  /* "3 minutes ago", "in 2 days" */
void html_time(struct strbuf *o, i64 time);	     /* "2026-04-01 12:00 UTC" */
