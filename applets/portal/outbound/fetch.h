/* applets/portal/outbound/fetch.h: asking other servers over HTTPS or HTTP, without ever making the loop wait.
 *
 *   fetch_start() ──▶ [queued] ──▶ [dialling: name, race of addresses, TLS] ──▶ [request out, answer in] ──▶ done(answer)
 *                        │                 ▲ or a kept connection of the same origin (GET only)                    │
 *                        └───────────── FETCH_TIMEOUT or the request's own for all of it ─────────────────────────▶┘
 *
 * `done` is called exactly once, from the loop and never from inside fetch_start(), unless fetch_cancel() came before. Redirects are answers
 * like any other. At most FETCHES_MAX are under way, FETCH_QUEUE_MAX wait. A connection whose answer ended well is kept for FETCH_IDLE so
 * that the pages of a directory do not cost a handshake each.
 *
 * The guard (guard.h) is asked about every address before it is connected to; forbidden ones are left out, and when none remains the
 * answer is ERR_DENIED. `allow_internal` switches it off, for identity providers of the own network.
 *
 * TLS is core/http/tls: version 1.2 with ECDHE and AEAD. The certificates to trust are read at the first https request. Requests may carry
 * secrets, and so may answers: both are wiped.
 */
#pragma once

#include "core/base/rng.h"
#include "core/http/http.h"
#include "core/loop/loop.h"

#define FETCH_BODY_MAX (1024u * 1024u) /* spec 60 §3.6 */
#define FETCH_TIMEOUT SEC(10)
#define FETCH_DIAL_TIMEOUT SEC(6) /* for the TCP connection alone */
#define FETCH_IDLE SEC(10)
#define FETCHES_MAX 8u
#define FETCH_QUEUE_MAX 64u
#define FETCH_IDLE_MAX 8u
#define FETCH_HEADERS_MAX 8u
#define FETCH_REQUEST_HEAD_MAX 16384u
#define FETCH_WHY_MAX 240u

struct fetcher;
struct fetch;

struct fetcher_config {
	struct loop *loop; /* borrowed, as is rng */
	struct rng *rng;
	const char *ca_file; /* NULL: the system's (applets/common/ca.h); copied */
	bool allow_internal;
	const char *resolv_conf, *hosts; /* for tests (platform/resolver.h) */
	u16 dns_port;
};

struct fetch_answer {
	int error;	 /* 0: there is a status. ERR_DENIED: the guard; ERR_TIMEOUT, ERR_LIMIT: body too large; ERR_AUTH, ERR_EXPIRED: certificate; … */
	const char *why; /* for people: "idp.example.com refuses connections"; "" when error is 0 */
	u16 status;
	const struct http_head *head; /* NULL unless error is 0; lent for the call */
	struct span body;	      /* lent */
};

typedef void fetch_done(void *ctx, const struct fetch_answer *a);

struct fetch_request {
	const char *url;
	bool is_post;
	struct {
		const char *name, *value;
	} header[FETCH_HEADERS_MAX]; /* until the first without name. Host, Accept (application/json), User-Agent, Content-Length are there already */
	const char *content_type;    /* of a body; NULL: application/x-www-form-urlencoded */
	struct span body;	     /* with is_post */
	size_t body_max;	     /* of the answer; 0 = FETCH_BODY_MAX */
	u64 timeout;		     /* 0 = FETCH_TIMEOUT */
	fetch_done *done;
	void *ctx;
};

struct fetcher *fetcher_new(const struct fetcher_config *cfg); /* NULL: out of memory or descriptors */
/* Drops everything that is under way without calling anybody. Not from inside `done`. */
void fetcher_free(struct fetcher *f);

/* All texts are copied. ERR_INVAL: no http or https URL, or a header that could end a line; ERR_LIMIT: too many wait; ERR_NOMEM. *out may be NULL
 * for those who never cancel. */
int fetch_start(struct fetcher *f, const struct fetch_request *rq, struct fetch **out) MUST_CHECK;
void fetch_cancel(struct fetch *x); /* NULL is allowed; not after `done` */

struct fetch_stats {
	u64 started, failed, refused, reused;
};
const struct fetch_stats *fetch_stats(const struct fetcher *f);
