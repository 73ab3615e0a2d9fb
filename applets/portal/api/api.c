#define LOG_TARGET "portal::api"

#include "applets/portal/api/api.h"

#include "applets/portal/model/pool.h"
#include "applets/portal/model/rules.h"
#include "core/base/encode.h"
#include "core/base/log.h"
#include "core/crypto/hash.h"
#include "core/http/url.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- who asks ---------------------------------------------------------------------------------------------------------------- */

static bool bearer(const struct exchange *x, char out[static TOKEN_STRLEN])
{
	struct span value = http_field(x->head, "authorization");
	size_t n = value.n > 7 ? value.n - 7 : 0;

	if (n == 0 || n >= TOKEN_STRLEN || strncasecmp((const char *)value.p, "Bearer ", 7) != 0)
		return false;
	memcpy(out, value.p + 7, n);
	out[n] = '\0';
	return strlen(out) == n;
}

/* The row of a good token. ERR_AUTH. */
static int find_token(struct exchange *x, struct token *out)
{
	char text[TOKEN_STRLEN];
	struct token_claim claim;
	int rc = bearer(x, text) ? token_open(&claim, TOKEN_API, text, &x->portal->secrets) : ERR_AUTH;

	if (!rc) {
		rc = store_get(x->portal->store, KIND_API_TOKEN, &claim.account_id, &claim.id, out);
		if (!rc && (!token_matches(&claim, out) || out->expires_at <= (i64)(x->wall / 1000))) {
			entity_deinit(KIND_API_TOKEN, out);
			rc = ERR_AUTH;
		}
		rc = rc == ERR_NOT_FOUND ? ERR_AUTH : rc;
		sodium_memzero(&claim, sizeof(claim));
	}
	sodium_memzero(text, sizeof(text));
	return rc;
}

static const struct actor *live_client(const struct api_call *c, const struct token *t)
{
	const struct actor *actor = directory_get(hub_directory(c->x->portal->hub), KIND_ACTOR, &t->e.account_id, &t->owner_id);

	return c->account && !c->account->disabled_at && actor && actor->type == ACTOR_API && !actor->disabled_at ? actor : NULL;
}

static void fill_principal(struct api_call *c, const struct token *t, const struct actor *actor)
{
	c->by = (struct principal){ .kind = PRINCIPAL_API, .account_id = t->e.account_id, .actor_id = actor->e.id, .session_id = t->e.id,
				    .remote_ip = c->x->remote_ip };
	snprintf(c->by.actor_name, sizeof(c->by.actor_name), "%s", actor->name);
	memcpy(c->by.region, c->x->region, sizeof(c->by.region));
	memcpy(c->by.user_agent, c->x->user_agent, sizeof(c->by.user_agent));
}

static u32 limit_of(i64 value)
{
	return value > 0 ? (u32)MIN(value, UINT32_MAX) : 0;
}

static bool is_segment(struct span path, u32 nth, const char *want)
{
	const u8 *end = path.p + path.n, *at = path.p, *next;

	for (u32 i = 0; at && at < end; i++, at = next) {
		at++; /* the slash */
		next = memchr(at, '/', (size_t)(end - at));
		if (i == nth)
			return strlen(want) == (size_t)((next ? next : end) - at) && memcmp(at, want, strlen(want)) == 0;
	}
	return false;
}

/* Which row of the table a path is about. */
static const struct api_resource *resource_of(struct span path)
{
	for (u32 pass = 0; pass < 2; pass++)
		for (u32 i = 0; i < n_api_resources; i++) {
			const struct api_resource *r = &api_resources[i];

			if (pass == 0 ? r->parent && is_segment(path, 0, r->parent) && is_segment(path, 2, r->segment) :
					!r->parent && is_segment(path, 0, r->segment))
				return r;
		}
	return NULL;
}

bool api_begin(struct api_call *c, struct exchange *x)
{
	const struct actor *actor;
	char remote[IP_STRLEN] = "";
	struct token t;
	int rc = find_token(x, &t);

	*c = (struct api_call){ .x = x, .out = JSON_OUT, .r = resource_of(x->path) };
	if (rc) {
		if (rc == ERR_AUTH)
			exchange_header(x, "WWW-Authenticate", "Bearer");
		exchange_problem(x, rc == ERR_AUTH ? 401 : 503, NULL);
		return false;
	}
	c->account = directory_account(hub_directory(x->portal->hub), &t.e.account_id);
	actor = live_client(c, &t);
	if (actor)
		fill_principal(c, &t, actor);
	struct uuid id = t.e.id;
	entity_deinit(KIND_API_TOKEN, &t);
	if (!actor) {
		exchange_header(x, "WWW-Authenticate", "Bearer");
		exchange_problem(x, 401, NULL);
		return false;
	}
	if (!c->account->has_rest_api) {
		exchange_problem(x, 403, "The REST API is switched off for this account");
		return false;
	}
	if (!exchange_within_limit(x, &c->account->e.id, limit_of(c->account->api_capacity), limit_of(c->account->api_refill_rate)))
		return false;
	if (x->remote_ip.family)
		ip_format(&x->remote_ip, remote);
	rc = store_touch(x->portal->store, KIND_API_TOKEN, &c->account->e.id, &id, x->wall, remote[0] ? remote : NULL);
	if (rc)
		log_at(store_trouble(x->portal->store) ? LOG_DEBUG : LOG_WARN, "the use of an API token could not be noted", kv_err(rc), kv_uuid("token_id", &id));
	return true;
}

/* ---- answers ------------------------------------------------------------------------------------------------------------------- */

void api_end(struct api_call *c)
{
	json_free(c->body);
	json_out_free(&c->out);
}

void api_send(struct api_call *c, u16 status)
{
	if (!json_ok(&c->out)) {
		exchange_problem(c->x, 500, NULL);
	} else {
		exchange_status(c->x, status);
		exchange_header(c->x, "Content-Type", "application/json; charset=utf-8");
		strbuf_add(&c->x->out, c->out.buf, c->out.len);
		exchange_send(c->x);
	}
	api_end(c);
}

void api_fail(struct api_call *c, u16 status, const char *reason)
{
	exchange_problem(c->x, status, reason);
	api_end(c);
}

void api_fail_field(struct api_call *c, const char *field, const char *reason)
{
	json_out_reset(&c->out);
	json_open(&c->out, NULL);
	json_open(&c->out, "error");
	json_put_str(&c->out, "reason", http_reason(422));
	json_open(&c->out, "validation_errors");
	json_open_array(&c->out, field);
	json_put_str(&c->out, NULL, reason);
	json_close_array(&c->out);
	json_close(&c->out);
	json_close(&c->out);
	json_close(&c->out);
	api_send(c, 422);
}

void api_fail_store(struct api_call *c, int rc)
{
	api_fail(c, rc == ERR_NOT_FOUND ? 404 : rc == ERR_INVAL ? 400 : 503, rc == ERR_INVAL ? store_reason(c->x->portal->store) : NULL);
}

/* What the action calls a field, as the request called it. */
static const char *json_name(const struct api_resource *r, const char *value)
{
	for (u32 i = 0; r && i < r->n_fields; i++)
		if (r->fields[i].value && strcmp(r->fields[i].value, value) == 0)
			return r->fields[i].name;
	return value;
}

void api_fail_action(struct api_call *c, const struct admin_reply *reply)
{
	u16 status = 500;

	switch (reply->class) {
	case ADMIN_OK:
		break;
	case ADMIN_INVALID:
		api_fail_field(c, reply->field[0] ? json_name(c->r, reply->field) : "base", reply->reason);
		return;
	case ADMIN_CONFLICT: /* a value that another has already is a wrong value */
		if (reply->field[0]) {
			api_fail_field(c, json_name(c->r, reply->field), reply->reason);
			return;
		}
		status = 409;
		break;
	case ADMIN_NOT_FOUND:
		status = 404;
		break;
	case ADMIN_DENIED:
	case ADMIN_LIMIT:
		status = 403;
		break;
	case ADMIN_UNAVAILABLE:
		status = 503;
		break;
	}
	api_fail(c, status, reply->reason);
}

bool api_id(struct api_call *c, u32 i, struct uuid *out)
{
	if (uuid_parse(c->x->param[i], out) == 0)
		return true;
	api_fail(c, 400, "The path holds something that is no id");
	return false;
}

const struct cJSON *api_root(struct api_call *c, const char *root)
{
	static const struct json_limits limits = { .bytes = EXCHANGE_BODY_MAX, .values = API_VALUES_MAX, .depth = API_DEPTH_MAX };
	struct json_get g = JSON_GET;
	const struct cJSON *out;
	char why[80];

	if (json_parse(c->x->body, &limits, &c->body)) {
		api_fail(c, 400, "The body is no JSON");
		return NULL;
	}
	out = json_is_object(c->body) ? json_member(&g, c->body, root) : NULL;
	if (out && !g.err)
		return out;
	snprintf(why, sizeof(why), "The body must be an object with one member '%s'", root);
	api_fail(c, 400, why);
	return NULL;
}

/* ---- rows ---------------------------------------------------------------------------------------------------------------------------- */

void api_put_time(struct json_out *o, const char *name, i64 at)
{
	time_t t = (time_t)(at / 1000000);
	char text[48];
	struct tm tm;

	if (!at) {
		json_put_null(o, name);
		return;
	}
	gmtime_r(&t, &tm);
	size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%06dZ", (int)(at % 1000000));
	json_put_str(o, name, text);
}

static void put_filters(struct json_out *o, const char *name, const char *text)
{
	struct filter all[FILTERS_MAX];
	struct complaint why;
	int n = filters_parse(text, all, &why);

	json_open_array(o, name);
	for (int i = 0; i < n;) {
		enum protocol p = all[i].protocol;

		json_open(o, NULL);
		json_put_str(o, "protocol", protocol_names[p]);
		json_open_array(o, "ports");
		for (; i < n && all[i].protocol == p; i++) {
			char ports[16];

			if (!all[i].has_ports)
				continue;
			if (all[i].first == all[i].last)
				snprintf(ports, sizeof(ports), "%u", all[i].first);
			else
				snprintf(ports, sizeof(ports), "%u - %u", all[i].first, all[i].last);
			json_put_str(o, NULL, ports);
		}
		json_close_array(o);
		json_close(o);
	}
	json_close_array(o);
}

static void put_conditions(struct json_out *o, const char *name, const char *text)
{
	json_open_array(o, name);
	for (const char *line = text; line && *line;) {
		size_t n = strcspn(line, "\n");
		struct span rest = SPAN(line, n), word;

		json_open(o, NULL);
		if (word_next(&rest, &word))
			json_put_strn(o, "property", word);
		if (word_next(&rest, &word))
			json_put_strn(o, "operator", word);
		json_open_array(o, "values");
		while (word_next(&rest, &word))
			json_put_strn(o, NULL, word);
		json_close_array(o);
		json_close(o);
		line += n + (line[n] == '\n');
	}
	json_close_array(o);
}

static const struct field *column_of(enum kind k, const char *name)
{
	for (u32 i = 0; i < kinds[k].field_count; i++)
		if (strcmp(kinds[k].fields[i].name, name) == 0)
			return &kinds[k].fields[i];
	return NULL;
}

static const void *value_at(enum kind k, const struct api_field *f, const void *row, const struct field **column)
{
	const struct entity *e = row;

	*column = NULL;
	if (strcmp(f->column, "account_id") == 0)
		return &e->account_id;
	if (strcmp(f->column, "inserted_at") == 0)
		return &e->inserted_at;
	if (strcmp(f->column, "updated_at") == 0)
		return &e->updated_at;
	*column = column_of(k, f->column);
	return *column ? field_of(row, *column) : NULL;
}

bool api_has_column(const struct api_resource *r, const struct api_field *f, const void *row)
{
	const struct field *type = column_of(r->kind, "type");

	return !f->types || (type && (f->types >> *(const int *)field_of(row, type)) & 1);
}

static void put_field(struct api_call *c, const struct api_resource *r, const struct api_field *f, const void *row)
{
	const struct entity *e = row;
	const struct field *column = NULL;
	const void *p = f->column ? value_at(r->kind, f, row, &column) : NULL;
	struct json_out *o = &c->out;
	struct ip ip;

	if (f->type == API_ENUM ? !column : !p && f->type != API_ONLINE)
		return;
	switch (f->type) {
	case API_ID:
		if (uuid_is_null(p))
			json_put_null(o, f->name);
		else
			json_put_uuid(o, f->name, p);
		break;
	case API_TEXT:
		json_put_str(o, f->name, *(char *const *)p);
		break;
	case API_BOOL:
		json_put_bool(o, f->name, *(const bool *)p);
		break;
	case API_INT:
		json_put_i64(o, f->name, *(const i64 *)p);
		break;
	case API_TIME:
		api_put_time(o, f->name, *(const i64 *)p);
		break;
	case API_ENUM:
		json_put_str(o, f->name, column->names[*(const int *)p][0] ? column->names[*(const int *)p] : NULL);
		break;
	case API_IPV4:
	case API_IPV6:
		ip = pool_ip(f->type == API_IPV4 ? POOL_IPV4 : POOL_IPV6, *(const u32 *)p);
		json_put_ip(o, f->name, &ip);
		break;
	case API_ONLINE:
		json_put_bool(o, f->name, hub_is_online(c->x->portal->hub, r->kind, &e->account_id, &e->id));
		break;
	case API_DISABLED:
		json_put_bool(o, f->name, *(const i64 *)p != 0);
		break;
	case API_FILTERS:
		put_filters(o, f->name, *(char *const *)p);
		break;
	case API_CONDITIONS:
		put_conditions(o, f->name, *(char *const *)p);
		break;
	}
}

void api_put_entity(struct api_call *c, const struct api_resource *r, const void *row)
{
	json_put_uuid(&c->out, "id", &((const struct entity *)row)->id);
	for (u32 i = 0; i < r->n_fields; i++)
		if (api_has_column(r, &r->fields[i], row))
			put_field(c, r, &r->fields[i], row);
}

#define TAG_BYTES 12u
#define TAG_STRLEN (BASE64URL_SIZE(TAG_BYTES) + 2u)

static void tag_of(const struct api_call *c, const void *row, char out[static TAG_STRLEN])
{
	struct api_call all = { .x = c->x, .out = JSON_OUT };
	char text[BASE64URL_SIZE(TAG_BYTES)] = "";
	u8 digest[SHA256_LEN];

	json_open(&all.out, NULL);
	for (u32 i = 0; i < c->r->n_fields; i++) {
		const struct api_field *f = &c->r->fields[i];
		const struct field *column = f->column ? column_of(c->r->kind, f->column) : NULL;

		if (f->type != API_ONLINE && !(column && column->computed == COMPUTED_BY_USE) && api_has_column(c->r, f, row))
			put_field(&all, c->r, f, row);
	}
	json_put_i64(&all.out, "", ((const struct entity *)row)->updated_at); /* what is not shown may have changed too */
	json_close(&all.out);
	if (json_ok(&all.out)) {
		sha256(digest, SPAN(all.out.buf, all.out.len));
		(void)base64url_encode(text, sizeof(text), SPAN(digest, TAG_BYTES));
	}
	json_out_free(&all.out);
	snprintf(out, TAG_STRLEN, "\"%s\"", text);
}

/* Is the tag in a list of them? A weak one (W/"…") is none of ours. */
static bool names_tag(struct span list, const char *tag)
{
	const u8 *at = tag && list.n > 0 ? memmem(list.p, list.n, tag, strlen(tag)) : NULL;

	return (list.n == 1 && list.p[0] == '*') || (at && (at == list.p || at[-1] != '/'));
}

bool api_is_unchanged(struct api_call *c, const void *row)
{
	char tag[TAG_STRLEN];
	bool is_asked = false;

	for (size_t i = 0; i < c->x->head->n_fields; i++) {
		if (!span_eq_nocase(c->x->head->field[i].name, "if-match"))
			continue;
		is_asked = true;
		if (row)
			tag_of(c, row, tag);
		if (names_tag(c->x->head->field[i].value, row ? tag : NULL))
			return true;
	}
	if (is_asked)
		api_fail(c, 412, row ? "It was changed since: look at what it is now, then try again" : "This has no ETag to be compared");
	return !is_asked;
}

void api_put_data(struct api_call *c, const void *row)
{
	json_out_reset(&c->out);
	json_open(&c->out, NULL);
	json_open(&c->out, "data");
	api_put_entity(c, c->r, row);
	json_close(&c->out);
	json_close(&c->out);
}

void api_send_row(struct api_call *c, u16 status, const void *row)
{
	char tag[TAG_STRLEN];

	api_put_data(c, row);
	tag_of(c, row, tag);
	exchange_header(c->x, "ETag", "%s", tag);
	api_send(c, status);
}

void api_send_now(struct api_call *c, u16 status, const struct uuid *id)
{
	union any_entity row;
	int rc = store_get(c->x->portal->store, c->r->kind, &c->account->e.id, id, &row);

	if (rc) {
		api_fail_store(c, rc);
		return;
	}
	api_send_row(c, status, &row);
	entity_deinit(c->r->kind, &row);
}

/* ---- queries -------------------------------------------------------------------------------------------------------------------------- */

bool api_query(struct api_call *c, const char *name, const char **value)
{
	struct span rest = c->x->query, key, raw;

	*value = exchange_query(c->x, name);
	while (!*value && form_next(&rest, &key, &raw) == 1)
		if (key.n == strlen(name) && memcmp(key.p, name, key.n) == 0) {
			api_fail(c, 400, "The query holds a value that is no text");
			return false;
		}
	return true;
}

/* ---- pages ---------------------------------------------------------------------------------------------------------------------------- */

bool api_page_query(struct api_call *c, struct store_query *q)
{
	const char *limit;
	char *end;

	if (!api_query(c, "limit", &limit) || !api_query(c, "page_cursor", &q->cursor))
		return false;

	q->account = c->account->e.id;
	q->limit = STORE_PAGE_DEFAULT;
	q->wants_count = true;
	if (q->cursor && !*q->cursor)
		q->cursor = NULL;
	if (!limit)
		return true;
	unsigned long n = strtoul(limit, &end, 10);
	if (limit[0] >= '0' && limit[0] <= '9' && !*end && n >= 1 && n <= STORE_PAGE_MAX) {
		q->limit = (u32)n;
		return true;
	}
	api_fail(c, 400, "The limit must be a number from 1 to 100");
	return false;
}

void api_put_metadata(struct api_call *c, const struct store_page *page, u32 limit)
{
	json_open(&c->out, "metadata");
	json_put_i64(&c->out, "count", page->count);
	json_put_u64(&c->out, "limit", limit);
	json_put_str(&c->out, "next_page", page->has_next ? page->next : NULL);
	json_put_str(&c->out, "prev_page", page->has_prev ? page->prev : NULL);
	json_close(&c->out);
}

bool api_read_ids(const struct cJSON *list, const char *member, void (*each)(void *ctx, const struct uuid *id), void *ctx)
{
	struct json_get g = JSON_GET;

	if (!json_is_array(list))
		return false;
	json_each(one, list) {
		const struct cJSON *v = !member ? one : json_is_object(one) ? json_member(&g, one, member) : NULL;
		struct uuid id;

		if (!v || g.err || json_value_uuid(v, &id))
			return false;
		each(ctx, &id);
	}
	return true;
}

void api_send_page(struct api_call *c, const struct store_query *q, store_each put, void *ctx)
{
	struct store_page page;

	json_open(&c->out, NULL);
	json_open_array(&c->out, "data");
	int rc = store_page(c->x->portal->store, q, put, ctx, &page);
	json_close_array(&c->out);
	if (rc) {
		api_fail_store(c, rc);
		return;
	}
	api_put_metadata(c, &page, q->limit);
	json_close(&c->out);
	api_send(c, 200);
}
