#include "applets/portal/api/api.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- the account ------------------------------------------------------------------------------------------------------------------ */

static void put_limit(struct json_out *o, const char *name, i64 limit, i64 used)
{
	if (limit < 0)
		return;
	json_open(o, name);
	json_put_i64(o, "used", used);
	json_put_i64(o, "available", MAX(limit - used, 0));
	json_put_i64(o, "total", limit);
	json_close(o);
}

void api_account(struct exchange *x)
{
	const struct account *a;
	struct store_usage u;
	struct api_call c;

	if (!api_begin(&c, x))
		return;
	a = c.account;
	int rc = store_usage(x->portal->store, &a->e.id, x->wall, &u);
	if (rc) {
		api_fail_store(&c, rc);
		return;
	}
	json_open(&c.out, NULL);
	json_open(&c.out, "data");
	json_put_uuid(&c.out, "id", &a->e.id);
	json_put_str(&c.out, "slug", a->slug);
	json_put_str(&c.out, "key", a->key);
	json_put_str(&c.out, "name", a->name);
	json_put_str(&c.out, "legal_name", a->legal_name);
	json_open(&c.out, "limits");
	put_limit(&c.out, "users", a->limit_users, u.users);
	put_limit(&c.out, "monthly_active_users", a->limit_monthly_active_users, u.monthly_active_users);
	put_limit(&c.out, "service_accounts", a->limit_service_accounts, u.service_accounts);
	put_limit(&c.out, "account_admin_users", a->limit_admins, u.admins);
	put_limit(&c.out, "sites", a->limit_sites, u.sites);
	json_close(&c.out);
	json_close(&c.out);
	json_close(&c.out);
	api_send(&c, 200);
}

/* ---- tokens of gateways and clients ---------------------------------------------------------------------------------------------------- */

/* The secret goes out here and nowhere else. */
static void send_new_token(struct api_call *c, const struct admin_reply *reply)
{
	char parent[UUID_STRLEN], id[UUID_STRLEN];
	union any_entity row;
	struct uuid owner;
	int rc = store_get(c->x->portal->store, c->r->kind, &c->account->e.id, &reply->id, &row);

	if (rc) {
		api_fail_store(c, rc);
		return;
	}
	owner = row.token.owner_id;
	exchange_header(c->x, "Location", "/%s/%s/%s/%s", c->r->parent, uuid_format(&owner, parent), c->r->segment, uuid_format(&reply->id, id));
	json_open(&c->out, NULL);
	json_open(&c->out, "data");
	api_put_entity(c, c->r, &row);
	json_put_str(&c->out, "token", reply->secret);
	json_close(&c->out);
	json_close(&c->out);
	entity_deinit(c->r->kind, &row);
	api_send(c, 201);
}

static void make_token(struct api_call *c, const struct uuid *owner, const char *of, const char *expires, const char *name)
{
	struct action a;

	action_begin(&a, "token", "add", &c->by);
	action_set_id(&a, of, owner);
	action_set(&a, "expires", expires);
	action_set(&a, "name", name);
	if (action_run(&a, c->x->portal) == ADMIN_OK)
		send_new_token(c, &a.reply);
	else
		api_fail_action(c, &a.reply);
	action_end(&a);
}

void api_create_gateway_token(struct exchange *x)
{
	struct api_call c;
	struct uuid site;

	if (api_begin(&c, x) && api_parent(&c, &site))
		make_token(&c, &site, "site", NULL, NULL);
}

static bool digits(const char **p, int n, char after, int *out)
{
	*out = 0;
	for (; n > 0; n--, (*p)++) {
		if (**p < '0' || **p > '9')
			return false;
		*out = *out * 10 + (**p - '0');
	}
	return !after || *(*p)++ == after;
}

/* RFC 3339 §5.6 to seconds; false: it is none. */
static bool read_time(const char *p, time_t *out)
{
	struct tm tm = { 0 };
	int hours = 0, minutes = 0, sign;

	if (!digits(&p, 4, '-', &tm.tm_year) || !digits(&p, 2, '-', &tm.tm_mon) || !digits(&p, 2, 0, &tm.tm_mday) || (*p != 'T' && *p != 't') ||
	    !digits((p++, &p), 2, ':', &tm.tm_hour) || !digits(&p, 2, ':', &tm.tm_min) || !digits(&p, 2, 0, &tm.tm_sec))
		return false;
	if (*p == '.' && (p++, *p >= '0' && *p <= '9'))
		p += strspn(p, "0123456789");
	sign = *p == '-' ? 1 : -1; /* what is ahead of UTC is taken off */
	if (*p == '+' || *p == '-') {
		p++;
		if (!digits(&p, 2, ':', &hours) || !digits(&p, 2, 0, &minutes))
			return false;
	} else if (*p++ != 'Z' && p[-1] != 'z') {
		return false;
	}
	if (*p || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60 ||
	    hours > 23 || minutes > 59)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	*out = timegm(&tm) + sign * (hours * 3600 + minutes * 60);
	return true;
}

static const char *utc(time_t at, char out[static 32])
{
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}

void api_create_client_token(struct exchange *x)
{
	struct json_get g = JSON_GET;
	const struct cJSON *root, *name;
	const char *expires;
	struct api_call c;
	struct uuid actor;
	char text[32];
	time_t at;

	if (!api_begin(&c, x) || !api_parent(&c, &actor))
		return;
	root = api_root(&c, "client_token");
	if (!root)
		return;
	if (!json_is_object(root)) {
		api_fail(&c, 400, "The root of the body must be an object");
		return;
	}
	name = json_member(&g, root, "name");
	expires = json_value_str(json_member(&g, root, "expires_at"));
	if (g.err)
		api_fail(&c, 400, "The body has a member twice");
	else if (!expires || !read_time(expires, &at))
		api_fail_field(&c, "expires_at", expires ? "must be a time such as 2027-01-31T12:00:00Z" : "is required");
	else if (name && !json_is_null(name) && (!json_value_str(name) || strlen(json_value_str(name)) > 255))
		api_fail_field(&c, "name", "must be text of at most 255 characters");
	else
		make_token(&c, &actor, "actor", utc(at, text), name ? json_value_str(name) : NULL);
}

/* Of a site or of an actor: what the path says. */
void api_delete_tokens(struct exchange *x)
{
	struct api_call c;
	struct action a;
	struct uuid owner;
	i64 n;

	if (!api_begin(&c, x) || !api_parent(&c, &owner) || !api_is_unchanged(&c, NULL))
		return;
	bool is_site = c.r->kind == KIND_GATEWAY_TOKEN;
	int rc = store_tally_of(x->portal->store, is_site ? TALLY_TOKENS_OF_SITE : TALLY_CLIENT_TOKENS_OF_ACTOR, &c.account->e.id, &owner, &n);
	if (rc) {
		api_fail_store(&c, rc);
		return;
	}
	action_begin(&a, "token", "delete-all", &c.by);
	action_set_id(&a, is_site ? "site" : "actor", &owner);
	if (action_run(&a, x->portal) == ADMIN_OK) {
		json_open(&c.out, NULL);
		json_open(&c.out, "data");
		json_put_i64(&c.out, "deleted_count", n);
		json_close(&c.out);
		json_close(&c.out);
		api_send(&c, 200);
	} else {
		api_fail_action(&c, &a.reply);
	}
	action_end(&a);
}

/* ---- verification of clients ---------------------------------------------------------------------------------------------------------------- */

static void set_verified(struct exchange *x, const char *verb)
{
	union any_entity row;
	struct api_call c;
	struct action a;
	struct uuid id;

	if (!api_begin(&c, x) || !api_id(&c, 0, &id))
		return;
	if (store_get(x->portal->store, KIND_CLIENT, &c.account->e.id, &id, &row) == 0) {
		bool is_unchanged = api_is_unchanged(&c, &row);
		entity_deinit(KIND_CLIENT, &row);
		if (!is_unchanged)
			return;
	}
	action_begin(&a, "client", verb, &c.by);
	action_set_id(&a, "target", &id);
	if (action_run(&a, x->portal) == ADMIN_OK)
		api_send_now(&c, 200, &id);
	else
		api_fail_action(&c, &a.reply);
	action_end(&a);
}

void api_verify(struct exchange *x)
{
	set_verified(x, "verify");
}

void api_unverify(struct exchange *x)
{
	set_verified(x, "unverify");
}
