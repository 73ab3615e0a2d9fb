/* applets/portal/http/router.h: which function answers which request.
 *
 * Each room has a table of routes: plain (router.c: health, metrics, assets), api (api/routes.c), web (web/routes.c); those who write pages and
 * APIs add rows there. A pattern is made of exact segments and `:names`, which take one segment each, decoded and never empty. Of all rows
 * whose pattern fits, the one wins that has an exact segment where the other has a name, looking from the left; order in the table does not
 * matter. HEAD is served by GET rows. A path that only other methods know gets 405 with Allow, one that nobody knows 404, in the manner of the
 * area: an API's root segment makes it the API's.
 *
 *   request ──▶ route found? ──▶ area's rate limit ──▶ body within body_max? ──▶ (web: CSRF) ──▶ handler
 */
#pragma once

#include "applets/portal/http/exchange.h"
#include "applets/portal/http/metrics.h"

enum route_flag {
	ROUTE_NO_CSRF = 1,    /* web: neither token nor origin are asked for; for callers that are no browsers */
	ROUTE_UNLIMITED = 2,  /* no rate limit */
	ROUTE_SECRET_PATH = 4, /* a parameter is a secret: the log shows the pattern instead */
};

struct route {
	enum method method;
	const char *pattern; /* "/", "/:account/sites/:id" */
	void (*handler)(struct exchange *x);
	u32 flags;
	u32 body_max; /* bytes; 0 = EXCHANGE_BODY_MAX; at most HTTP_BODY_MAX of core/http */
};

struct area {
	enum area_kind kind;
	const struct route *routes;
	u32 n_routes;
	/* Answers with an error in the area's manner: 400 and above. `reason` is a sentence for people, or NULL. Sends. */
	void (*problem)(struct exchange *x, u16 status, const char *reason);
};

extern const struct area plain_area, api_area, web_area;
/* By kind, as a server has them unless a test says otherwise. */
extern const struct area *const router_areas[AREAS];

struct match {
	const struct area *area;   /* never NULL */
	const struct route *route; /* NULL: see status */
	u16 status;		   /* 0, 404, 405 */
	u32 allowed;		   /* bits 1 << enum method, of all rows whose pattern fits */
};

/* Fills x->param when there is a route. */
void router_find(struct exchange *x, struct match *out);

/* How the areas say that something is wrong, where the rooms have no better words. */
void problem_text(struct exchange *x, u16 status, const char *reason);
void problem_json(struct exchange *x, u16 status, const char *reason);
