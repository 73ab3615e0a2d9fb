/* What a browser and the portal owe each other: cookies, CSRF, security headers, rate limits. */
#include "applets/portal/http/exchange_int.h"
#include "tests/unit/http_routes.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- cookies --------------------------------------------------------------------------------------------------------------------- */

TEST(spec60_28_cookies_are_signed_http_only_and_lax)
{
	struct http_world *w = http_new_with_routes();

	EXPECT_EQ(http_get(w, "/set")->status, 303);
	EXPECT_STR(w->reply.location, "/cookie?from=set");
	EXPECT_HAS(w->reply.head, "; Path=/; Max-Age=900; HttpOnly; SameSite=Lax\r\n");
	EXPECT_STR(http_get(w, "/cookie")->body, "0 11");
	EXPECT_STR(http_get(w, "/cookie?name=other")->body, "0 0");
	EXPECT_STR(http_get(w, "/cookie?name=none")->body, "-6 0");
	w->cfg.secure_cookies = true;
	http_get(w, "/set");
	EXPECT_HAS(w->reply.head, "; SameSite=Lax; Secure\r\n");
	http_get(w, "/cookie?drop=1");
	EXPECT_HAS(w->reply.head, "Set-Cookie: email_otp=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure\r\n");
	EXPECT_STR(http_get(w, "/cookie")->body, "-6 0");
	http_free(w);
}

static int open_as(const char *name, const char *text, u64 at, size_t *n)
{
	static const u8 key[SHA256_LEN] = { 7 };
	u8 out[64];

	return cookie_open(key, name, SPAN(text, strlen(text)), at, out, sizeof(out), n);
}

TEST(spec60_28_tampered_expired_and_foreign_cookies_are_nothing)
{
	static const u8 key[SHA256_LEN] = { 7 }, other_key[SHA256_LEN] = { 8 };
	char text[COOKIE_STRLEN], bad[COOKIE_STRLEN];
	size_t n;

	EXPECT_EQ(cookie_seal(key, "sess_1", SPAN_STR("0123456789abcdef"), 1000000, 300, text), 0);
	EXPECT_EQ(open_as("sess_1", text, 1000000 - 86400, &n), 0);	       /* the clock was set back: nobody signs in anew for that */
	EXPECT_EQ(open_as("sess_1", text, 1000000 - 7 * 86400, &n), 0);
	EXPECT_EQ(open_as("sess_1", text, 1000000 - 7 * 86400 - 1, &n), ERR_EXPIRED); /* or it was never right */
	EXPECT_EQ(open_as("sess_1", text, 100, &n), ERR_EXPIRED);
	EXPECT_EQ(cookie_seal(key, "sess_1", SPAN_STR("0123456789abcdef"), 1000, 300, text), 0);
	EXPECT_EQ(open_as("sess_1", text, 1299, &n), 0);
	EXPECT_EQ(n, 16);
	EXPECT_EQ(open_as("sess_1", text, 1300, &n), ERR_EXPIRED);
	EXPECT_EQ(open_as("sess_1", text, 940, &n), 0);
	EXPECT_EQ(open_as("sess_2", text, 1000, &n), ERR_AUTH);
	EXPECT_EQ(open_as("sess_", text, 1000, &n), ERR_AUTH);
	for (size_t i = 0; text[i]; i++) {
		strcpy(bad, text);
		bad[i] = bad[i] == 'A' ? 'B' : 'A';
		EXPECT_EQ(open_as("sess_1", bad, 1000, &n), ERR_AUTH);
		bad[i] = '\0';
		EXPECT_EQ(open_as("sess_1", bad, 1000, &n), ERR_AUTH);
	}
	EXPECT_EQ(cookie_seal(other_key, "sess_1", SPAN_STR("0123456789abcdef"), 1000, 300, text), 0);
	EXPECT_EQ(open_as("sess_1", text, 1000, &n), ERR_AUTH);
	EXPECT_EQ(cookie_seal(key, "x", SPAN(bad, EXCHANGE_COOKIE_MAX + 1), 1000, 300, text), ERR_LIMIT);
}

TEST(spec60_28_of_cookies_with_one_name_ours_counts)
{
	struct http_world *w = http_new_with_routes();

	http_get(w, "/set");
	w->extra = "Cookie: email_otp=planted; email_otp=; x; email_otp\r\n";
	EXPECT_STR(http_get(w, "/cookie")->body, "0 11");
	for (int i = 0; i < COOKIES_MAX; i++)
		if (strncmp(w->cookie[i], "other=", 6) == 0)
			w->cookie[i][10] ^= 1;
	EXPECT_STR(http_get(w, "/cookie?name=other")->body, "-11 0");
	w->extra = NULL;
	http_wait(w, SEC(899));
	EXPECT_STR(http_get(w, "/cookie")->body, "0 11");
	http_wait(w, SEC(1));
	EXPECT_STR(http_get(w, "/cookie")->body, "-14 0");
	http_free(w);
}

TEST(a_sentence_is_told_once)
{
	struct http_world *w = http_new_with_routes();

	EXPECT_STR(http_get(w, "/flashed")->body, "0 -");
	EXPECT_EQ(http_get(w, "/flash")->status, 303);
	EXPECT_STR(http_get(w, "/flashed")->body, "1 <b>Berlin</b> is gone");
	EXPECT_STR(http_get(w, "/flashed")->body, "0 -");
	http_free(w);
}

/* ---- CSRF ------------------------------------------------------------------------------------------------------------------------ */

TEST(forms_of_other_sites_are_refused)
{
	struct http_world *w = http_new_with_routes();
	const char *type = "application/x-www-form-urlencoded";
	char body[128];

	EXPECT_EQ(http_post(w, "/form", "a=1")->status, 403); /* no page was seen */
	http_get(w, "/page");
	REQUIRE(w->csrf[0]);
	EXPECT_EQ(http_post(w, "/form", "a=1")->status, 200);
	EXPECT_HAS(w->reply.body, "form a=1\n");
	EXPECT_EQ(http_ask(w, "POST", "/form", type, "a=1")->status, 403); /* token missing */
	snprintf(body, sizeof(body), "_csrf=%s&a=1", w->csrf);
	EXPECT_EQ(http_ask(w, "POST", "/form", type, body)->status, 200); /* old browsers send neither Origin nor Sec-Fetch-Site */
	w->extra = "Origin: https://evil.example\r\n";
	EXPECT_EQ(http_ask(w, "POST", "/form", type, body)->status, 403);
	w->extra = "Origin: null\r\n";
	EXPECT_EQ(http_ask(w, "POST", "/form", type, body)->status, 403);
	w->extra = "Origin: http://portal.example.evil.example\r\n";
	EXPECT_EQ(http_ask(w, "POST", "/form", type, body)->status, 403);
	w->extra = "Origin: http://portal.example\r\nSec-Fetch-Site: cross-site\r\n";
	EXPECT_EQ(http_ask(w, "POST", "/form", type, body)->status, 403);
	w->extra = "Sec-Fetch-Site: same-site\r\n";
	EXPECT_EQ(http_ask(w, "POST", "/form", type, body)->status, 403);
	body[8] ^= 1;
	w->extra = NULL;
	EXPECT_EQ(http_ask(w, "POST", "/form", type, body)->status, 403);
	snprintf(body, sizeof(body), "X-CSRF-Token: %s\r\n", w->csrf);
	w->extra = body;
	EXPECT_EQ(http_ask(w, "POST", "/form", "application/json", "{}")->status, 200);
	w->extra = NULL;
	EXPECT_EQ(http_ask(w, "POST", "/hook", type, "a=1")->status, 200); /* not for browsers */
	EXPECT_EQ(http_ask(w, "POST", "/things", "application/json", "{}")->status, 200);
	http_free(w);
}

TEST(the_token_belongs_to_one_browser)
{
	struct http_world *w = http_new_with_routes();
	char mine[64];

	http_get(w, "/page");
	strcpy(mine, w->csrf);
	http_get(w, "/page");
	EXPECT_STR(w->csrf, mine); /* as long as the cookie is kept */
	http_forget(w);
	http_get(w, "/page");
	EXPECT(strcmp(w->csrf, mine) != 0);
	strcpy(w->csrf, mine);
	EXPECT_EQ(http_post(w, "/form", "")->status, 403);
	http_get(w, "/page");
	http_wait(w, SEC(28799));
	EXPECT_EQ(http_post(w, "/form", "")->status, 200);
	http_wait(w, SEC(2));
	EXPECT_EQ(http_post(w, "/form", "")->status, 403);
	http_free(w);
}

/* ---- headers ------------------------------------------------------------------------------------------------------------------------ */

TEST(pages_carry_a_strict_policy_with_a_nonce_of_their_own)
{
	struct http_world *w = http_new_with_routes();
	char first[512];

	http_get(w, "/page");
	snprintf(first, sizeof(first), "%s", http_header(&w->reply, "content-security-policy"));
	EXPECT_HAS(first, "default-src 'none'; ");
	EXPECT_HAS(first, "script-src 'self' 'nonce-");
	EXPECT_HAS(first, "form-action 'self' firezone-fd0020211111:; base-uri 'none'; frame-ancestors 'none'");
	EXPECT(!strstr(first, "unsafe"));
	EXPECT_STR(http_header(&w->reply, "cache-control"), "no-store");
	EXPECT_STR(http_header(&w->reply, "x-content-type-options"), "nosniff");
	EXPECT_STR(http_header(&w->reply, "referrer-policy"), "same-origin");
	EXPECT_STR(http_header(&w->reply, "cross-origin-opener-policy"), "same-origin");
	EXPECT_STR(http_header(&w->reply, "content-type"), "text/html; charset=utf-8");
	EXPECT_STR(http_header(&w->reply, "strict-transport-security"), "");
	http_get(w, "/page");
	EXPECT(strcmp(first, http_header(&w->reply, "content-security-policy")) != 0);
	w->server.is_https = true;
	http_get(w, "/no/such/page");
	EXPECT_STR(http_header(&w->reply, "strict-transport-security"), "max-age=63072000; includeSubDomains; preload");
	EXPECT_HAS(w->reply.head, "Content-Security-Policy: default-src 'none'; img-src");
	http_get(w, "/things");
	EXPECT_STR(http_header(&w->reply, "content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
	http_free(w);
}

TEST(nothing_that_is_sent_can_end_a_header_line)
{
	struct http_world *w = http_new_with_routes();

	EXPECT_EQ(http_get(w, "/inject?a=fine")->status, 200);
	EXPECT_STR(http_header(&w->reply, "x-name"), "fine");
	EXPECT_EQ(http_get(w, "/inject?a=x%0d%0aSet-Cookie:%20sess=1")->status, 500);
	EXPECT(!strstr(w->reply.head, "sess"));
	EXPECT_EQ(http_get(w, "/inject?a=x%0aSet-Cookie:%20sess=1")->status, 500);
	EXPECT_EQ(http_get(w, "/inject?a=%7f")->status, 500);
	EXPECT_EQ(http_get(w, "/inject?b=/%0d%0aX:y")->status, 500);
	EXPECT_EQ(http_get(w, "/inject?b=/next")->status, 303);
	EXPECT_STR(w->reply.location, "/next");
	http_free(w);
}

/* ---- limits ----------------------------------------------------------------------------------------------------------------------------- */

TEST(pages_are_limited_by_address)
{
	struct http_world *w = http_new_with_routes();

	w->cfg.web_rate = (struct rate_rule){ 20, 10, 10 };
	for (int i = 0; i < 20; i++)
		EXPECT_EQ(http_get(w, i % 2 ? "/echo" : "/no/such")->status, i % 2 ? 200 : 404);
	EXPECT_EQ(http_get(w, "/echo")->status, 429);
	EXPECT_STR(http_header(&w->reply, "retry-after"), "1");
	EXPECT_EQ(http_ask(w, "POST", "/hook", NULL, "x")->status, 200); /* said to be unlimited */
	EXPECT_EQ(http_get(w, "/healthz")->status, 200);
	EXPECT_EQ(http_get(w, "/things")->status, 200); /* the API has its own */
	strcpy(w->remote, "203.0.113.8");
	EXPECT_EQ(http_get(w, "/echo")->status, 200);
	strcpy(w->remote, "203.0.113.7");
	http_wait(w, SEC(1));
	EXPECT_EQ(http_ask(w, "POST", "/big", NULL, "x")->status, 200); /* a form costs as much as ten pages */
	EXPECT_EQ(http_get(w, "/echo")->status, 429);
	EXPECT_EQ(w->server.web_rate.refused, 2);

	for (int i = 0; i < 20; i++) {
		snprintf(w->remote, sizeof(w->remote), "2001:db8::%d", i + 1);
		EXPECT_EQ(http_get(w, "/echo")->status, 200);
	}
	EXPECT_EQ(http_get(w, "/echo")->status, 429); /* the addresses of one /64 are one */
	http_free(w);
}

TEST(the_api_is_limited_by_account)
{
	struct http_world *w = http_new_with_routes();

	w->cfg.api_rate = (struct rate_rule){ 30, 10, 10 };
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(http_get(w, "/things")->status, 200);
	strcpy(w->remote, "203.0.113.8"); /* from wherever */
	EXPECT_EQ(http_get(w, "/things")->status, 429);
	EXPECT_STR(w->reply.body, "{\"error\":{\"reason\":\"Too Many Requests\"}}");
	EXPECT_STR(http_header(&w->reply, "retry-after"), "1");
	http_wait(w, SEC(1));
	EXPECT_EQ(http_get(w, "/things")->status, 200);
	http_free(w);
}

TEST(buckets_are_full_at_first_and_refill_by_whole_seconds)
{
	struct rng_seeded rng;
	struct rate r;
	const struct rate_rule rule = { 3, 2, 2 };
	u8 key[RATE_KEY_LEN] = { 1 };
	u32 wait = 0;

	rng_seeded_init(&rng, 1);
	REQUIRE(rate_init(&r, &rng.rng) == 0);
	EXPECT_EQ(rate_take(&r, SEC(5), key, &rule, &wait), 0);
	EXPECT_EQ(rate_take(&r, SEC(5), key, &rule, &wait), ERR_LIMIT);
	EXPECT_EQ(wait, 1);
	EXPECT_EQ(rate_take(&r, SEC(6) - 1, key, &rule, &wait), ERR_LIMIT);
	EXPECT_EQ(rate_take(&r, SEC(6), key, &rule, &wait), 0);
	EXPECT_EQ(rate_take(&r, SEC(1000000), key, &rule, &wait), 0); /* full, not more */
	EXPECT_EQ(rate_take(&r, SEC(1000000), key, &rule, &wait), ERR_LIMIT);
	EXPECT_EQ(rate_take(&r, SEC(1000000), key, &(struct rate_rule){ 5, 0, 9 }, &wait), 0); /* no limit */
	for (u32 i = 0; i < 3 * RATE_KEYS_MAX; i++) { /* whoever comes with many keys fills no more than the table */
		u8 k[RATE_KEY_LEN] = { 2, (u8)i, (u8)(i >> 8), (u8)(i >> 16) };
		EXPECT_EQ(rate_take(&r, SEC(1000000), k, &rule, &wait), 0);
	}
	EXPECT_EQ(r.buckets.count, RATE_KEYS_MAX);
	rate_deinit(&r);
}
