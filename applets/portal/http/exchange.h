/* applets/portal/http/exchange.h: one HTTP request and its answer, for those who write pages and APIs.
 *
 *   head and body read ──▶ handler ──┬── exchange_send() ──▶ written, connection kept for the next request
 *                                    ├── exchange_send_at(due): the same, not before an instant (answers of constant time)
 *                                    ├── exchange_defer(): the handler returns and answers later, from another callback
 *                                    └── exchange_stream(): an open-ended body (server-sent events), pieces as they come
 *
 * The connection gives each request a struct exchange, calls the router's handler once, and frees it when the answer is written or the
 * peer is gone; a deferred exchange is told so by its `gone` and must not be touched afterwards. A handler that returns without any of
 * the four answers 500 and is logged. All spans live as long as the exchange. Bodies are read whole before the handler runs, at most
 * EXCHANGE_BODY_MAX (a route may ask for more); what is larger gets 413. HEAD is answered as GET without the body. After a send, in any of
 * its forms, the exchange may still be read until the present callback returns, and must not be touched later.
 *
 * An answer of type text/html carries a Content-Security-Policy that allows what comes from here and inline scripts with the nonce, nothing
 * else: no style attributes, no inline handlers, no frames; forms go to ourselves (exchange_allow_forms_to() for more). Nothing is stored by
 * browsers unless Cache-Control says so. Routes: router.h.
 */
#pragma once

#include "applets/portal/admin/admin.h"
#include "applets/portal/model/geo.h"
#include "core/base/strbuf.h"
#include "core/http/http.h"
#include "core/loop/loop.h"

#define EXCHANGE_BODY_MAX (256u * 1024u)
#define EXCHANGE_PARAMS_MAX 4u
#define EXCHANGE_NONCE_LEN 22 /* 16 random bytes in base64url */
#define EXCHANGE_PAIRS_MAX 4096u   /* fields of one form or query */
#define EXCHANGE_STREAM_MAX (256u * 1024u)
#define EXCHANGE_COOKIE_MAX 2048u  /* bytes of content */
#define EXCHANGE_FLASH_MAX 512u

enum method { METHOD_GET, METHOD_POST, METHOD_PUT, METHOD_PATCH, METHOD_DELETE, METHOD_OTHER };

struct exchange {
	struct portal *portal;
	struct loop *loop;
	u64 now, wall;

	/* the request */
	enum method method;
	struct span path;  /* begins with '/', without query; as sent, but without empty segments */
	struct span query; /* behind the '?', encoded */
	const struct http_head *head;
	struct span body;
	struct span param[EXCHANGE_PARAMS_MAX]; /* what the pattern's `:names` stand for, decoded, valid UTF-8, never empty, NUL behind */
	struct ip remote_ip;			/* behind trusted proxies */
	char region[3];				/* "" = unknown */
	char city[CITY_MAX];			/* the same */
	struct place place;
	char user_agent[256];			/* cut, control characters replaced */
	bool is_https;				/* the external URL is */

	/* the answer */
	struct strbuf out;			/* the body */
	char nonce[EXCHANGE_NONCE_LEN + 1];	/* of this response's Content-Security-Policy */
};

/* ---- answering ---- */

/* 200 unless said otherwise. */
void exchange_status(struct exchange *x, u16 status);
/* Replaces nothing: a second value is a second field. Values with bytes that could end a line are refused (500). Content-Type is
 * text/html; charset=utf-8 unless set. Content-Length, Date, security headers and cookies are the exchange's business. */
void exchange_header(struct exchange *x, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* One more place where forms of this page may end, as a source of CSP form-action: "firezone-fd0020211111:", "https://idp.example". Browsers check each
 * redirect that follows a POST too. */
void exchange_allow_forms_to(struct exchange *x, const char *source);
/* 303 to a path of ours or an absolute URL; sends. */
void exchange_redirect(struct exchange *x, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* An error as this area shows them: a page, {"error":{"reason":…}} or a line of text; `reason` is a sentence for people, NULL = the status' name. Sends. */
void exchange_problem(struct exchange *x, u16 status, const char *reason);
void exchange_send(struct exchange *x);
void exchange_send_at(struct exchange *x, u64 due);
/* Answers later, with exchange_send() or one of its kin; `gone` is called when the connection breaks before, or the portal goes down. (A peer
 * that only closed its side may still read: he is answered.) */
void exchange_defer(struct exchange *x, void (*gone)(void *ctx), void *ctx);
/* Sends the head and what is in `out`; more follows by exchange_push(). A peer that does not read 256 KiB of it is dropped. */
void exchange_stream(struct exchange *x, void (*gone)(void *ctx), void *ctx);
void exchange_push(struct exchange *x, struct span bytes);
void exchange_end(struct exchange *x);

/* Zeroed memory that lives as long as the exchange; NULL without memory. */
void *exchange_alloc(struct exchange *x, size_t n);

/* Takes from the API's bucket of an account (spec 60 §6.1; 0: the defaults of the server). False: 429 was sent, return. */
bool exchange_within_limit(struct exchange *x, const struct uuid *account, u32 capacity, u32 refill);

/* ---- cookies (spec 60 §3.9): signed, HttpOnly, SameSite=Lax, Path=/, Secure with https ---- */

/* The content of a cookie whose signature holds and whose age is below its limit, decoded into out. ERR_NOT_FOUND, ERR_AUTH, ERR_EXPIRED. */
int exchange_cookie(const struct exchange *x, const char *name, u8 *out, size_t cap, size_t *n) MUST_CHECK;
void exchange_set_cookie(struct exchange *x, const char *name, struct span content, u64 max_age_secs);
void exchange_drop_cookie(struct exchange *x, const char *name);

/* A sentence for the next page that this browser sees, kept in its signed cookie: no secrets. Cut at EXCHANGE_FLASH_MAX. */
enum flash { FLASH_INFO, FLASH_ERROR };
void exchange_flash(struct exchange *x, enum flash kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The sentence that the page before left, once; NULL when there is none. */
const char *exchange_take_flash(struct exchange *x, enum flash *kind);

/* ---- forms ---- */

/* The first value of a field of the body (urlencoded), decoded, trimmed of nothing; NULL when absent or not decodable. Kept until the exchange ends. */
const char *exchange_form(struct exchange *x, const char *name);
/* The i-th value of a repeated field. */
const char *exchange_form_nth(struct exchange *x, const char *name, u32 i);
/* The same of the query. */
const char *exchange_query(struct exchange *x, const char *name);
const char *exchange_query_nth(struct exchange *x, const char *name, u32 i);

/* The token that every form of this browser carries in the field `_csrf` (or in X-CSRF-Token): bound to a signed cookie, which is set when absent. The router
 * refuses a POST, PUT, PATCH or DELETE of a page without it (403), and one whose Origin or Sec-Fetch-Site is foreign. */
const char *exchange_csrf(struct exchange *x);
/* A new one with this answer: when somebody signs in or out. */
void exchange_csrf_renew(struct exchange *x);
