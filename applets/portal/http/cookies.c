/* Signed cookies: base64url(issued, seconds, u64 | max age, u64 | content | mac), mac = HMAC-SHA256(key, "cookie" name issued … content). */
#include "applets/portal/http/exchange_int.h"
#include "core/base/encode.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>

#define TIMES_LEN 16u
/* Seconds a cookie may come from the future: the clock was set back, and nobody is to sign in anew for that. What must be over sooner is judged by the row or
 * the list of used ones behind the cookie. */
#define CLOCK_SLACK (7u * 86400u)
#define RAW_MAX (TIMES_LEN + EXCHANGE_COOKIE_MAX + SHA256_LEN)

static_assert(COOKIE_STRLEN >= BASE64URL_SIZE(RAW_MAX), "a cookie of the greatest content fits");

static void sign(const u8 key[static SHA256_LEN], const char *name, struct span signed_part, u8 out[static SHA256_LEN])
{
	const struct span parts[] = { SPAN_STR("cookie"), SPAN(name, strlen(name) + 1), signed_part };

	hmac_sha256_v(out, SPAN(key, SHA256_LEN), parts, ARRAY_LEN(parts));
}

int cookie_seal(const u8 key[static SHA256_LEN], const char *name, struct span content, u64 wall_secs, u64 max_age_secs,
		char out[static COOKIE_STRLEN])
{
	u8 raw[RAW_MAX], mac[SHA256_LEN];
	struct wr w = wr_init(raw, sizeof(raw));

	if (content.n > EXCHANGE_COOKIE_MAX)
		return ERR_LIMIT;
	wr_be64(&w, wall_secs);
	wr_be64(&w, max_age_secs);
	if (content.n > 0)
		wr_bytes(&w, content.p, content.n);
	sign(key, name, SPAN(raw, wr_len(&w)), mac);
	wr_bytes(&w, mac, sizeof(mac));
	int n = base64url_encode(out, COOKIE_STRLEN, SPAN(raw, wr_len(&w)));
	sodium_memzero(raw, sizeof(raw));
	return n < 0 ? n : 0;
}

int cookie_open(const u8 key[static SHA256_LEN], const char *name, struct span text, u64 wall_secs, u8 *out, size_t cap, size_t *n)
{
	u8 raw[RAW_MAX], mac[SHA256_LEN];
	int len = text.n < COOKIE_STRLEN ? base64url_decode(raw, sizeof(raw), text) : ERR_LIMIT, rc = 0;

	if (len < (int)(TIMES_LEN + SHA256_LEN))
		return ERR_AUTH;
	size_t n_signed = (size_t)len - SHA256_LEN;
	struct rd r = rd_init(raw, n_signed);
	u64 issued = rd_be64(&r), max_age = rd_be64(&r);
	struct span content = rd_bytes(&r, rd_left(&r));

	sign(key, name, SPAN(raw, n_signed), mac);
	if (sodium_memcmp(mac, raw + n_signed, SHA256_LEN) != 0)
		rc = ERR_AUTH;
	else if (issued > wall_secs + CLOCK_SLACK || (wall_secs > issued && wall_secs - issued >= max_age))
		rc = ERR_EXPIRED;
	else if (content.n > cap)
		rc = ERR_LIMIT;
	else if (content.n > 0)
		memcpy(out, content.p, content.n);
	*n = rc ? 0 : content.n;
	sodium_memzero(raw, sizeof(raw));
	return rc;
}

/* ---- in a request ------------------------------------------------------------------------------------------------------------------- */

/* The next `name=value` of a Cookie field; false at its end. */
static bool next_cookie(struct span *rest, struct span *name, struct span *value)
{
	const u8 *end, *eq;

	while (rest->n > 0 && (rest->p[0] == ' ' || rest->p[0] == ';'))
		*rest = SPAN(rest->p + 1, rest->n - 1);
	if (rest->n == 0)
		return false;
	end = memchr(rest->p, ';', rest->n);
	struct span one = end ? SPAN(rest->p, (size_t)(end - rest->p)) : *rest;
	*rest = SPAN(rest->p + one.n, rest->n - one.n);
	eq = memchr(one.p, '=', one.n);
	*name = eq ? SPAN(one.p, (size_t)(eq - one.p)) : one;
	*value = eq ? SPAN(eq + 1, one.n - name->n - 1) : SPAN_NONE;
	while (value->n > 0 && value->p[value->n - 1] == ' ')
		value->n--;
	return true;
}

/* Several of one name may come, planted from elsewhere: the first that is ours counts. */
int exchange_cookie(const struct exchange *x, const char *name, u8 *out, size_t cap, size_t *n)
{
	u64 secs = loop_wall(x->loop) / NSEC_PER_SEC;
	int worst = ERR_NOT_FOUND;

	*n = 0;
	for (size_t i = 0; i < x->head->n_fields; i++) {
		struct span rest = x->head->field[i].value, cookie, value;

		if (!span_eq_nocase(x->head->field[i].name, "cookie"))
			continue;
		while (next_cookie(&rest, &cookie, &value)) {
			if (cookie.n != strlen(name) || memcmp(cookie.p, name, cookie.n) != 0)
				continue;
			int rc = cookie_open(run_of(x)->server->cookie_key, name, value, secs, out, cap, n);
			if (rc == 0)
				return 0;
			worst = rc == ERR_EXPIRED || worst == ERR_NOT_FOUND ? rc : worst;
		}
	}
	return worst;
}

/* ---- in an answer ------------------------------------------------------------------------------------------------------------------- */

static void set(struct run *r, const char *name, const char *value, u64 max_age_secs)
{
	char line[COOKIE_STRLEN + 256];
	int n = snprintf(line, sizeof(line), "%s=%s; Path=/; Max-Age=%llu; HttpOnly; SameSite=Lax%s", name, value,
			 (unsigned long long)max_age_secs, r->server->cfg->secure_cookies ? "; Secure" : "");

	if (n < 0 || (size_t)n >= sizeof(line) || strpbrk(name, "=; \t") || !exchange_add_field(r, "Set-Cookie", line))
		r->fields.failed = true;
}

void exchange_set_cookie(struct exchange *x, const char *name, struct span content, u64 max_age_secs)
{
	struct run *r = run_of(x);
	char value[COOKIE_STRLEN];

	if (cookie_seal(r->server->cookie_key, name, content, loop_wall(x->loop) / NSEC_PER_SEC, max_age_secs, value))
		r->fields.failed = true;
	else
		set(r, name, value, max_age_secs);
}

void exchange_drop_cookie(struct exchange *x, const char *name)
{
	set(run_of(x), name, "", 0);
}
