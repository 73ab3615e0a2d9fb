/* applets/portal/sync/pull.h: reading a whole directory, page by page, politely (spec 60 §8).
 *
 *   [token] ──▶ [pages: at most PULL_PARALLEL at a time] ──nothing waits──▶ ops->next() ──▶ more pages, or done(0)
 *                 │ 429, 503 with Retry-After: everything rests as long as the server says     │
 *                 │ 5xx, no connection: again after 1, 4, 16 s                                 ▼
 *                 └─ 401: one new token; otherwise 4xx, or tries are used up ─────────▶ done(failure, why)
 *
 * One struct pull_ops for each kind of directory (google.c, entra.c, okta.c). They ask by pull_get() and put what comes into the snapshot.
 */
#pragma once

#include "applets/portal/outbound/fetch.h"
#include "applets/portal/sync/snapshot.h"
#include "core/json/json.h"

#define PULL_PARALLEL 2u
#define PULL_TRIES 4u
#define PULL_RESTS 20u		/* times a server may tell us to wait */
#define PULL_REST_MAX SEC(300)
#define PULL_TIMEOUT SEC(3600)
#define PULL_REQUESTS_MAX 200000u
#define PULL_PAGE_MAX (4u * 1024u * 1024u)
#define PULL_WHY_MAX 400u

/* What a failure means for the directory (spec 60 §8). */
enum pull_failure {
	PULL_OK,
	PULL_REFUSED,   /* 4xx, missing rights, answers that make no sense: an admin has to look */
	PULL_DISTURBED, /* 5xx, no connection: may go by itself */
};

struct pull_config {
	struct loop *loop;
	struct rng *rng;
	struct fetcher *fetcher;
	/* the portal's own; NULL: none */
	const char *google_service_account_key, *entra_client_id, *entra_client_secret;
	const char *google_api_url, *google_token_url, *entra_url, *graph_url; /* without '/' at the end */
	const char *okta_scheme; /* "https" */
};

/* What 404, or 403 too, means: that there is nothing (any more). */
enum get_lack { GET_MUST_EXIST, GET_MAY_LACK_404, GET_MAY_LACK };

struct pull;
struct pull_get;
typedef int pull_page(struct pull *p, const struct pull_get *g, const struct cJSON *root, const struct http_head *head);

struct pull_ops {
	const char *what; /* "Google", in messages */
	/* Asks for a token; ends in pull_has_token() or pull_fail(). Called again when it has expired. */
	void (*authorize)(struct pull *p);
	/* Nothing waits any more: 1 when all was read, 0 when more was asked for; negative: as of a page. */
	int (*next)(struct pull *p);
	/* Headers of a request, beginning at header[0]; texts live in p->scratch. */
	void (*headers)(struct pull *p, const char *url, struct fetch_request *rq);
	/* A 401 that asks for something else than a new token: true, try again at once. May be NULL. */
	bool (*challenged)(struct pull *p, const struct fetch_answer *a);
};
extern const struct pull_ops google_ops, entra_ops, okta_ops;

struct pull_get {
	struct pull *pull;
	struct pull_get *next;
	char *url;
	pull_page *page;
	u32 group;	/* what the page is about */
	u8 lack;	/* enum get_lack */
	u32 tries;
	struct fetch *fetch;
};

struct pull {
	const struct pull_config *cfg;
	const struct pull_ops *ops;
	struct sync_directory dir; /* a copy */
	struct snapshot snap;
	bool is_probe; /* only whether it would work */

	/* the provider's */
	char *token;
	int phase;
	struct jose_key *key, *proof_key;
	char *client_email; /* google */
	char nonce[256];   /* okta: DPoP */
	char service_principal[64];
	u32 cursor;
	u32 n_listed, user_at; /* google: groups that the directory listed; whom the org unit at the cursor is compared with */
	char *scratch[4];

	/* the engine's */
	struct pull_get *queue, **queue_end, *busy[PULL_PARALLEL];
	u32 n_busy, n_requests, n_rests;
	u64 rest_until;
	bool has_token, is_authorizing, is_over, has_renewed;
	u64 token_at;
	struct fetch *token_fetch;
	struct loop_timer timer, deadline;
	struct loop_task task;
	enum pull_failure failure;
	char why[PULL_WHY_MAX];
	void (*done)(void *ctx, struct pull *p);
	void *ctx;
};

/* `dir` is copied. `done` is called once, from the loop; p->failure and p->why tell. Owner frees. NULL: no memory. */
struct pull *pull_new(const struct pull_config *cfg, const struct sync_directory *dir, bool is_probe, void (*done)(void *ctx, struct pull *p), void *ctx);
void pull_free(struct pull *p);

/* ---- for the providers ---- */
void pull_get(struct pull *p, pull_page *page, u32 group, enum get_lack lack, const char *fmt, ...) PRINTF_LIKE(5, 6);
void pull_has_token(struct pull *p, const char *token);
/* A fetch_done of p->token_fetch: has the access_token of the answer (RFC 6749 §5.1), or fails. */
void pull_on_token(void *ctx, const struct fetch_answer *a);
void pull_fail(struct pull *p, enum pull_failure f, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The failure that an answer is, said in the server's words. */
void pull_fail_by(struct pull *p, const char *step, const struct fetch_answer *a);
/* Text that lives until the next of the same slot. */
const char *pull_text(struct pull *p, u32 slot, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Same scheme, host and port as `base`? For links to next pages. */
bool pull_same_origin(const char *url, const char *base);
/* A member that is a text; NULL otherwise. */
const char *pull_str(const struct cJSON *o, const char *name);
/* Percent-encodes into slot. */
const char *pull_encoded(struct pull *p, u32 slot, const char *text);
const char *pull_issuer(const struct pull_config *cfg, const struct sync_directory *dir, char *out, size_t cap);
