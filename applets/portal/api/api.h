/* applets/portal/api/api.h: a call of the REST API (spec 60 §10), and the table everything is made from.
 *
 *   Authorization: Bearer ──▶ api_begin() ──┬─▶ handler ──▶ api_send() {"data":…}
 *     token of an enabled API client,       └─▶ 401, 403, 429
 *     within its account's rate limit
 *
 * Requests are JSON objects with one root, {"site":{"name":"Berlin"}}; members nobody knows are ignored. Whatever is written goes through
 * admin_run() with the API client as principal, so its rights and the rules are those of everybody else. Errors are
 * {"error":{"reason":…,"validation_errors":{field:[why]}}}: 400 what cannot be read, 401, 403, 404, 409, 412, 422 a value, 429, 503.
 *
 * A row of the table is answered with an ETag, of what somebody can change in it: presence and last use move it not. A change with If-Match is
 * made only when that still holds (412, RFC 9110 §13.1.1); lists have no tag, so there only "*" holds.
 */
#pragma once

#include "applets/portal/admin/action.h"
#include "applets/portal/http/exchange.h"
#include "core/json/json.h"

#define API_VALUES_MAX 20000u /* in one request: members of a large group */
#define API_DEPTH_MAX 8u
#define API_IDS_MAX 5000u /* to be removed from something in one request */

struct cJSON;

enum api_type {
	API_ID,
	API_TEXT,
	API_BOOL,
	API_INT,
	API_TIME,	/* microseconds to "2027-01-15T08:00:00.000000Z" */
	API_ENUM,
	API_IPV4,
	API_IPV6,
	API_ONLINE,	/* computed */
	API_DISABLED,	/* bool of a time */
	API_FILTERS,	/* [{"protocol":"tcp","ports":["22","8000 - 9000"]}] */
	API_CONDITIONS, /* [{"property":…,"operator":…,"values":[…]}] */
};

#define API_NULLABLE 1u /* in answers; in requests null clears it */
#define API_REQUIRED 2u /* to create one */
#define API_QUERY 4u	/* lists can be narrowed to one value of it */
#define API_FIXED 8u	/* given when it is made, not changed later */

struct api_field {
	const char *name;	  /* in JSON */
	const char *column;	  /* of the kind's field table (entity.c); NULL: not in answers */
	const char *value;	  /* of the action; NULL: cannot be set */
	enum api_type type;
	u8 flags;
	u8 types;		  /* only rows of these types have it, a bit each; 0 = all */
	const char *const *names; /* of an enum */
	u16 max;		  /* characters of a text in requests; 0 = 255 */
	const char *help;
};

enum api_op { API_LIST = 1, API_SHOW = 2, API_CREATE = 4, API_UPDATE = 8, API_DELETE = 16 };

struct api_resource {
	const char *segment, *parent;	    /* "gateways" below "sites"; parent NULL: below the root */
	const char *parent_column;	    /* which field holds the parent's id */
	enum kind parent_kind;
	const char *root, *title, *plural;  /* "site", "Site", "Sites" */
	enum kind kind;
	const char *noun;		    /* of the action; NULL: read only */
	u8 ops;
	int only_type;			    /* rows of this type; -1 = all */
	const struct api_field *fields;
	u32 n_fields;
};

extern const struct api_resource api_resources[];
extern const u32 n_api_resources;

/* ---- api.c: a call ---- */

struct api_call {
	struct exchange *x;
	const struct account *account;
	struct principal by;
	struct json_out out; /* the answer */
	struct cJSON *body;
	const struct api_resource *r;
};

/* False: answered already. */
bool api_begin(struct api_call *c, struct exchange *x) MUST_CHECK;
/* Parameter i as an id; false: 400 was answered. */
bool api_id(struct api_call *c, u32 i, struct uuid *out) MUST_CHECK;
/* The thing of the path's first parameter that c->r is below; false: answered. */
bool api_parent(struct api_call *c, struct uuid *out) MUST_CHECK;
/* The member `root` of the body; NULL: 400 was answered. */
const struct cJSON *api_root(struct api_call *c, const char *root);
/* Sends what was written to c->out, and releases the call. */
void api_send(struct api_call *c, u16 status);
/* The same with an error. */
void api_fail(struct api_call *c, u16 status, const char *reason);
void api_fail_field(struct api_call *c, const char *field, const char *reason);
void api_fail_store(struct api_call *c, int rc);
/* Releases a call that is never answered. */
void api_end(struct api_call *c);
/* The action's answer as an error; fields are named as in the request. */
void api_fail_action(struct api_call *c, const struct admin_reply *reply);

void api_put_time(struct json_out *o, const char *name, i64 at);
/* The members of a row, without braces. */
void api_put_entity(struct api_call *c, const struct api_resource *r, const void *row);
/* [{member:id}] or, with NULL, [id]; false: it is not. */
bool api_read_ids(const struct cJSON *list, const char *member, void (*each)(void *ctx, const struct uuid *id), void *ctx);
/* May it be changed, as If-Match says? `row` NULL: of what has no tag. False: 412 was answered. */
bool api_is_unchanged(struct api_call *c, const void *row) MUST_CHECK;
/* {"data":{…}} of a row. */
void api_put_data(struct api_call *c, const void *row);
/* That, with its ETag; `now`: of what is in the store at present, 404 when it is not. Sends. */
void api_send_row(struct api_call *c, u16 status, const void *row);
void api_send_now(struct api_call *c, u16 status, const struct uuid *id);
/* A parameter of the query, NULL when absent; false: it cannot be read, 400 was answered. */
bool api_query(struct api_call *c, const char *name, const char **value) MUST_CHECK;
/* "limit" and "page_cursor" of the query; false: 400 was answered. */
bool api_page_query(struct api_call *c, struct store_query *q) MUST_CHECK;
void api_put_metadata(struct api_call *c, const struct store_page *page, u32 limit);
/* {"data":[…],"metadata":{…}} with what `put` writes to c->out for each row of the page. Sends. */
void api_send_page(struct api_call *c, const struct store_query *q, store_each put, void *ctx);
bool api_has_column(const struct api_resource *r, const struct api_field *f, const void *row);

/* ---- handlers ---- */

void api_list(struct exchange *x);
void api_show(struct exchange *x);
void api_create(struct exchange *x);
void api_update(struct exchange *x);
void api_delete(struct exchange *x);

void api_account(struct exchange *x);
void api_memberships(struct exchange *x);
void api_put_memberships(struct exchange *x);
void api_patch_memberships(struct exchange *x);
void api_pool_members(struct exchange *x);
void api_put_pool_members(struct exchange *x);
void api_patch_pool_members(struct exchange *x);
void api_create_gateway_token(struct exchange *x);
void api_create_client_token(struct exchange *x);
void api_delete_tokens(struct exchange *x);
void api_verify(struct exchange *x);
void api_unverify(struct exchange *x);
void api_client_sessions(struct exchange *x);
void api_client_session(struct exchange *x);
void api_gateway_sessions(struct exchange *x);
void api_gateway_session(struct exchange *x);
void api_openapi(struct exchange *x);
void api_docs(struct exchange *x);

/* The document, for tests too. */
void openapi_write(struct json_out *o, const char *server);
