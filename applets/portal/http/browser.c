/* The signed cookie _firezone_key: what makes one browser recognisable before anybody signs in: its CSRF key and a sentence for its next page. */
#include "applets/portal/http/exchange_int.h"
#include "core/base/encode.h"
#include "core/http/url.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>

#define COOKIE "_firezone_key"
#define COOKIE_MAX_AGE 28800u /* spec 60 §3.9 */
#define FIELD "_csrf"
#define CSRF_LEN SHA256_LEN

static void draw_key(struct run *r)
{
	rng_fill(r->x.portal->rng, r->browser.key, sizeof(r->browser.key));
	r->browser.csrf[0] = '\0';
	r->browser.is_new = true;
}

/* key, then kind and text of the sentence, if any */
static struct browser *browser_of(struct run *r)
{
	struct browser *b = &r->browser;
	u8 raw[BROWSER_KEY_LEN + 1 + EXCHANGE_FLASH_MAX];
	size_t n;

	if (b->is_read)
		return b;
	b->is_read = true;
	if (exchange_cookie(&r->x, COOKIE, raw, sizeof(raw), &n) || n < BROWSER_KEY_LEN) {
		draw_key(r);
		return b;
	}
	memcpy(b->key, raw, sizeof(b->key));
	if (n > BROWSER_KEY_LEN + 1) {
		size_t text = MIN(n - BROWSER_KEY_LEN - 1, sizeof(b->flash) - 1);
		b->flash_kind = raw[BROWSER_KEY_LEN] == FLASH_ERROR ? FLASH_ERROR : FLASH_INFO;
		memcpy(b->flash, raw + BROWSER_KEY_LEN + 1, text);
		b->flash[text] = '\0';
	}
	return b;
}

void browser_save(struct run *r)
{
	struct browser *b = &r->browser;
	u8 raw[BROWSER_KEY_LEN + 1 + EXCHANGE_FLASH_MAX];
	size_t text = strlen(b->flash), n = BROWSER_KEY_LEN;

	if (!b->is_read || !b->is_changed)
		return;
	memcpy(raw, b->key, sizeof(b->key));
	if (text > 0) {
		raw[n++] = (u8)b->flash_kind;
		memcpy(raw + n, b->flash, text);
		n += text;
	}
	exchange_set_cookie(&r->x, COOKIE, SPAN(raw, n), COOKIE_MAX_AGE);
}

/* ---- a sentence for the next page --------------------------------------------------------------------------------------------------- */

void exchange_flash(struct exchange *x, enum flash kind, const char *fmt, ...)
{
	struct browser *b = browser_of(run_of(x));
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(b->flash, sizeof(b->flash), fmt, ap);
	va_end(ap);
	b->flash_kind = kind;
	b->is_changed = true;
}

const char *exchange_take_flash(struct exchange *x, enum flash *kind)
{
	struct browser *b = browser_of(run_of(x));
	char *text;

	if (b->flash[0] == '\0')
		return NULL;
	text = exchange_alloc(x, strlen(b->flash) + 1);
	if (text)
		strcpy(text, b->flash);
	if (kind)
		*kind = b->flash_kind;
	b->flash[0] = '\0';
	b->is_changed = true;
	return text;
}

/* ---- CSRF ----------------------------------------------------------------------------------------------------------------------------- */

static const char *csrf_of(struct run *r)
{
	struct browser *b = browser_of(r);
	const struct span parts[] = { SPAN_STR("csrf"), SPAN(b->key, sizeof(b->key)) };
	u8 mac[CSRF_LEN];

	if (b->csrf[0] == '\0') {
		hmac_sha256_v(mac, SPAN(r->server->cookie_key, SHA256_LEN), parts, ARRAY_LEN(parts));
		(void)base64url_encode(b->csrf, sizeof(b->csrf), SPAN(mac, sizeof(mac)));
	}
	return b->csrf;
}

/* With each page that has a form the cookie's life begins anew. */
const char *exchange_csrf(struct exchange *x)
{
	struct run *r = run_of(x);
	const char *token = csrf_of(r);

	r->browser.is_changed = true;
	return token;
}

void exchange_csrf_renew(struct exchange *x)
{
	struct run *r = run_of(x);

	(void)browser_of(r);
	draw_key(r);
	r->browser.is_changed = true;
}

/* Scheme, host and port of the page that sends it are ours: those of the external URL, or those that the request itself was sent to. */
static bool is_own_origin(const struct run *r, struct span origin)
{
	struct span host = http_field(r->x.head, "host"), rest;
	const char *base = r->x.portal->web_url;
	struct url ours, theirs;

	if (url_parse(origin, &theirs))
		return false;
	rest = SPAN(origin.p + theirs.scheme.n + 3, origin.n - theirs.scheme.n - 3);
	if (host.n > 0 && rest.n == host.n && strncasecmp((const char *)rest.p, (const char *)host.p, host.n) == 0)
		return true;
	if (!base || url_parse(SPAN(base, strlen(base)), &ours))
		return false;
	size_t n = (size_t)(ours.path.p - (const u8 *)base);
	return ours.path.n > 0 && origin.n == n && strncasecmp((const char *)origin.p, base, n) == 0;
}

static bool is_foreign(const struct run *r)
{
	struct span site = http_field(r->x.head, "sec-fetch-site"), origin = http_field(r->x.head, "origin");

	if (site.p && !span_eq_nocase(site, "same-origin") && !span_eq_nocase(site, "none"))
		return true;
	return origin.p && !is_own_origin(r, origin);
}

const char *browser_check_csrf(struct run *r)
{
	struct span token = http_field(r->x.head, "x-csrf-token");
	const char *want = csrf_of(r), *field;

	if (is_foreign(r))
		return "This request was sent by another site.";
	if (!token.p) {
		field = exchange_form(&r->x, FIELD);
		token = field ? SPAN(field, strlen(field)) : SPAN_NONE;
	}
	if (r->browser.is_new || token.n != strlen(want) || sodium_memcmp(token.p, want, token.n) != 0)
		return "This form is too old, or your browser keeps no cookies. Load the page anew, then try again.";
	return NULL;
}
