/* site, resource, policy, token, client, gateway, status */
#include "applets/portal/admin/rights.h"
#include "applets/portal/model/rules.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ---- site ----------------------------------------------------------------------------------------------------------------------- */

int run_site_add(struct admin *a)
{
	const struct account *account;
	struct complaint c;
	struct site x;
	int rc = admin_account(a, &account);

	if (rc)
		return rc;
	entity_init(KIND_SITE, &x);
	x.e = admin_new(a, account);
	rc = admin_set(a, &x.name, "name");
	if (!rc && check_site(&x, &c))
		rc = admin_complain(a, &c);
	rc = rc ? rc : admin_check_limit(a, account, LIMIT_SITES);
	rc = rc ? rc : admin_begin(a);
	if (!rc) {
		rc = store_insert(a->portal->store, KIND_SITE, &x, a->wall);
		if (rc == ERR_EXISTS)
			(void)admin_fail(a, rc, "--name: there is already a site '%s'", x.name);
		rc = admin_end(a, rc);
	}
	rc = admin_show_single(a, KIND_SITE, &x, rc);
	entity_deinit(KIND_SITE, &x);
	return rc;
}

int run_site_update(struct admin *a)
{
	const struct account *account;
	struct complaint c;
	struct site x;
	int rc = admin_copy_target(a, KIND_SITE, &account, &x);

	if (rc)
		return rc;
	if (x.managed_by == MANAGED_BY_SYSTEM)
		rc = admin_fail(a, ERR_DENIED, "the site '%s' is managed by the portal", x.name);
	rc = rc ? rc : admin_set(a, &x.name, "name");
	if (!rc && check_site(&x, &c))
		rc = admin_complain(a, &c);
	rc = rc ? rc : admin_begin(a);
	if (!rc)
		rc = admin_end(a, store_update(a->portal->store, KIND_SITE, &x, a->wall));
	rc = admin_show_single(a, KIND_SITE, &x, rc);
	entity_deinit(KIND_SITE, &x);
	return rc;
}

/* ---- resource -------------------------------------------------------------------------------------------------------------------- */

/* What an address is when nobody said: a network, an address, else a name. */
static enum resource_type guess_type(const char *address)
{
	struct ip ip;
	size_t n = strcspn(address, "/");

	if (ip_parse(SPAN(address, n), &ip))
		return RESOURCE_DNS;
	return address[n] ? RESOURCE_CIDR : RESOURCE_IP;
}

static int read_resource(struct admin *a, const struct account *account, struct resource *x)
{
	static const char *const stacks[] = { "", "dual", "ipv4-only", "ipv6-only", NULL };
	const char *type = admin_arg(a, "type"), *stack = admin_arg(a, "ip-stack");
	char *filters;
	int rc = admin_set(a, &x->address, "address");

	rc = rc ? rc : admin_set(a, &x->name, "name");
	rc = rc ? rc : admin_set(a, &x->address_description, "description");
	rc = rc ? rc : admin_set_id(a, KIND_SITE, account, "site", &x->site_id);
	if (rc)
		return rc;
	if (type) {
		x->type = enum_parse(resource_type_names, type);
		if (x->type < 0 || x->type == RESOURCE_INTERNET || x->type == RESOURCE_POOL)
			return admin_fail(a, ERR_INVAL, "--type: '%s' is none of dns, cidr, ip", type);
	} else if (admin_arg(a, "address")) {
		x->type = (int)guess_type(x->address);
	}
	if (stack) {
		x->ip_stack = enum_parse(stacks, stack);
		x->ip_stack = x->ip_stack < 0 ? enum_parse(ip_stack_names, stack) : x->ip_stack;
		if (x->ip_stack <= 0)
			return admin_fail(a, ERR_INVAL, "--ip-stack: '%s' is none of dual, ipv4-only, ipv6-only", stack);
		if (x->type != RESOURCE_DNS)
			return admin_fail(a, ERR_INVAL, "--ip-stack: only a resource of type dns has one");
	}
	filters = admin_args_joined(a, "filter", " ");
	if (filters && *filters && !account->has_traffic_filters) {
		free(filters);
		return admin_fail(a, ERR_DENIED, "--filter: traffic filters are switched off for this account");
	}
	if (filters || admin_arg(a, "no-filters"))
		rc = text_set(&x->filters, filters);
	free(filters);
	return rc ? admin_store_failed(a, rc) : 0;
}

static int check_resource_site(struct admin *a, const struct resource *x)
{
	const struct site *s = directory_get(admin_dir(a), KIND_SITE, &x->e.account_id, &x->site_id);

	return s && s->managed_by == MANAGED_BY_SYSTEM && x->type != RESOURCE_INTERNET ?
		       admin_fail(a, ERR_INVAL, "--site: the site '%s' is for the internet resource alone", s->name) :
		       0;
}

int run_resource_add(struct admin *a)
{
	const struct account *account;
	struct complaint c;
	struct resource x;
	int rc = admin_account(a, &account);

	if (rc)
		return rc;
	entity_init(KIND_RESOURCE, &x);
	x.e = admin_new(a, account);
	rc = read_resource(a, account, &x);
	if (!rc && uuid_is_null(&x.site_id))
		rc = admin_fail(a, ERR_INVAL, "--site: say where it is");
	rc = rc ? rc : check_resource_site(a, &x);
	if (!rc && check_resource(&x, &c))
		rc = admin_complain(a, &c);
	rc = rc ? rc : admin_begin(a);
	if (!rc)
		rc = admin_end(a, store_insert(a->portal->store, KIND_RESOURCE, &x, a->wall));
	rc = admin_show_single(a, KIND_RESOURCE, &x, rc);
	entity_deinit(KIND_RESOURCE, &x);
	return rc;
}

static bool is_same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

int run_resource_update(struct admin *a)
{
	const struct account *account;
	const struct resource *was;
	struct complaint c;
	struct resource x;
	int rc = admin_copy_target(a, KIND_RESOURCE, &account, &x);

	if (rc)
		return rc;
	was = directory_get(admin_dir(a), KIND_RESOURCE, &x.e.account_id, &x.e.id);
	if (x.type == RESOURCE_INTERNET)
		rc = admin_fail(a, ERR_DENIED, "the internet resource is managed by the portal");
	if (x.type == RESOURCE_POOL)
		rc = admin_fail(a, ERR_DENIED, "'%s' is a device pool: see emberbox portal pool --help", x.name);
	rc = rc ? rc : read_resource(a, account, &x);
	rc = rc ? rc : check_resource_site(a, &x);
	if (!rc && check_resource(&x, &c))
		rc = admin_complain(a, &c);
	/* what was granted, was granted for the old place (spec 60 §5.2) */
	bool is_other = !rc && (!is_same_text(was->address, x.address) || was->type != x.type || was->ip_stack != x.ip_stack ||
				!uuid_eq(&was->site_id, &x.site_id));
	rc = rc ? rc : admin_begin(a);
	if (!rc) {
		rc = store_update(a->portal->store, KIND_RESOURCE, &x, a->wall);
		if (!rc && is_other)
			rc = store_revoke(a->portal->store, REVOKE_AUTHORIZATIONS_OF_RESOURCE, &x.e.account_id, &x.e.id);
		rc = admin_end(a, rc);
	}
	rc = admin_show_single(a, KIND_RESOURCE, &x, rc);
	entity_deinit(KIND_RESOURCE, &x);
	return rc;
}

/* ---- policy ----------------------------------------------------------------------------------------------------------------------- */

/* "remote_ip is_in_cidr 10.0.0.0/8" as it is; commas between values are as good as spaces, but belong to ranges of time. */
static int read_conditions(struct admin *a, struct policy *x)
{
	char *text = admin_args_joined(a, "condition", "\n");
	int rc = 0;

	if (text || admin_arg(a, "no-conditions"))
		rc = text_set(&x->conditions, text);
	free(text);
	return rc;
}

/* A zone that nobody knows would never let anyone in. */
static int check_zones(struct admin *a, const struct policy *x)
{
	struct day_range ranges[DAY_RANGES_MAX];
	const char *at = x->conditions;
	struct span word, zone;
	struct condition c;
	int weekday;
	i64 offset;

	while (condition_next(&at, &c))
		while (c.property == PROP_TIME && word_next(&c.values, &word))
			if (day_ranges_parse(word, &weekday, ranges, &zone) > 0 && a->portal->zones &&
			    a->portal->zones->offset(a->portal->zones->ctx, zone, (i64)(a->wall / NSEC_PER_SEC), &offset))
				return admin_fail(a, ERR_INVAL, "conditions: this host knows no time zone '%.*s'", (int)zone.n, zone.p);
	return 0;
}

/* What the account may not use is refused when it is asked for, not when it is there already (spec 60 §1.2). */
static int check_features(struct admin *a, const struct account *account, const struct policy *x)
{
	const struct resource *r = directory_get(admin_dir(a), KIND_RESOURCE, &account->e.id, &x->resource_id);
	const char *wish = admin_arg(a, "condition");

	if (wish && *wish && !account->has_policy_conditions)
		return admin_fail(a, ERR_DENIED, "--condition: conditions are switched off for this account");
	if (r && r->type == RESOURCE_INTERNET && admin_arg(a, "resource") && !account->has_internet_resource)
		return admin_fail(a, ERR_DENIED, "--resource: the internet resource is switched off for this account");
	return 0;
}

static int read_policy(struct admin *a, const struct account *account, struct policy *x)
{
	struct complaint c;
	int rc = admin_set_id(a, KIND_GROUP, account, "group", &x->group_id);

	rc = rc ? rc : admin_set_id(a, KIND_RESOURCE, account, "resource", &x->resource_id);
	rc = rc ? rc : admin_set(a, &x->description, "description");
	rc = rc ? rc : check_features(a, account, x);
	rc = rc ? rc : read_conditions(a, x);
	if (!rc && check_policy(x, &c))
		rc = admin_complain(a, &c);
	return rc ? rc : check_zones(a, x);
}

int run_policy_add(struct admin *a)
{
	const struct account *account;
	struct policy x;
	int rc = admin_account(a, &account);

	if (rc)
		return rc;
	entity_init(KIND_POLICY, &x);
	x.e = admin_new(a, account);
	rc = read_policy(a, account, &x);
	x.disabled_at = admin_arg(a, "disabled") ? (i64)(a->wall / 1000) : 0;
	rc = rc ? rc : admin_begin(a);
	if (!rc) {
		rc = store_insert(a->portal->store, KIND_POLICY, &x, a->wall);
		if (rc == ERR_EXISTS)
			(void)admin_fail(a, rc, "--resource: this group already has a policy for this resource");
		rc = admin_end(a, rc);
	}
	rc = admin_show_single(a, KIND_POLICY, &x, rc);
	entity_deinit(KIND_POLICY, &x);
	return rc;
}

static int save_policy(struct admin *a, struct policy *x)
{
	const struct policy *was = directory_get(admin_dir(a), KIND_POLICY, &x->e.account_id, &x->e.id);
	bool is_breaking = x->disabled_at || !is_same_text(was->conditions, x->conditions) || !uuid_eq(&was->group_id, &x->group_id) ||
			   !uuid_eq(&was->resource_id, &x->resource_id);
	int rc = admin_begin(a);

	if (!rc) {
		rc = store_update(a->portal->store, KIND_POLICY, x, a->wall);
		if (rc == ERR_EXISTS)
			(void)admin_fail(a, rc, "--resource: this group already has a policy for this resource");
		if (!rc && is_breaking)
			rc = store_revoke(a->portal->store, REVOKE_AUTHORIZATIONS_OF_POLICY, &x->e.account_id, &x->e.id);
		rc = admin_end(a, rc);
	}
	rc = admin_show_single(a, KIND_POLICY, x, rc);
	entity_deinit(KIND_POLICY, x);
	return rc;
}

int run_policy_update(struct admin *a)
{
	const struct account *account;
	struct policy x;
	int rc = admin_copy_target(a, KIND_POLICY, &account, &x);

	if (rc)
		return rc;
	rc = read_policy(a, account, &x);
	if (!rc)
		return save_policy(a, &x);
	entity_deinit(KIND_POLICY, &x);
	return rc;
}

int run_policy_disable(struct admin *a)
{
	const struct account *account;
	struct policy x;
	int rc = admin_copy_target(a, KIND_POLICY, &account, &x);

	if (rc)
		return rc;
	x.disabled_at = (i64)(a->wall / 1000);
	return save_policy(a, &x);
}

int run_policy_enable(struct admin *a)
{
	const struct account *account;
	struct policy x;
	int rc = admin_copy_target(a, KIND_POLICY, &account, &x);

	if (rc)
		return rc;
	x.disabled_at = 0;
	return save_policy(a, &x);
}

/* ---- token -------------------------------------------------------------------------------------------------------------------------- */

#define DEFAULT_LIFETIME_DAYS 365

static bool is_api_client(const struct admin *a)
{
	return a->rq->by && a->rq->by->kind == PRINCIPAL_API;
}

/* Of relays only for operators (spec 60 §1.1). */
static bool may_see_token(const struct admin *a, enum kind k)
{
	return k != KIND_RELAY_TOKEN || !rights_account(a);
}

static int token_kind(struct admin *a, enum kind *kind, enum token_type *type)
{
	bool is_actor = admin_arg(a, "actor"), is_site = admin_arg(a, "site"), is_relay = admin_arg(a, "relay");

	if (is_actor + is_site + is_relay != 1)
		return admin_fail(a, ERR_INVAL, "a token is for one of --actor ACTOR (a client), --site SITE (its gateways), --relay");
	if (is_relay && rights_operator_only(a, "make relay tokens"))
		return ERR_DENIED;
	*kind = is_actor ? KIND_CLIENT_TOKEN : is_site ? KIND_GATEWAY_TOKEN : KIND_RELAY_TOKEN;
	*type = is_actor ? TOKEN_CLIENT : is_site ? TOKEN_GATEWAY : TOKEN_RELAY;
	return 0;
}

static int set_owner(struct admin *a, enum kind kind, struct token *x)
{
	const struct account *account;
	const struct actor *actor;
	int rc;

	if (kind == KIND_RELAY_TOKEN)
		return 0;
	rc = admin_account(a, &account);
	if (rc)
		return rc;
	x->e.account_id = account->e.id;
	if (kind == KIND_GATEWAY_TOKEN)
		return admin_set_id(a, KIND_SITE, account, "site", &x->owner_id);
	rc = admin_set_id(a, KIND_ACTOR, account, "actor", &x->owner_id);
	if (rc)
		return rc;
	actor = directory_get(admin_dir(a), KIND_ACTOR, &account->e.id, &x->owner_id);
	if (actor->type == ACTOR_API)
		return admin_fail(a, ERR_INVAL, "'%s' is an API client: it cannot connect", actor->name);
	/* whoever has it is that person: only a person may say so (spec 60, What changed after the pin) */
	if (actor->type != ACTOR_SERVICE && is_api_client(a))
		return admin_fail(a, ERR_DENIED, "An API client may make tokens of service accounts only");
	if (actor->disabled_at)
		return admin_fail(a, ERR_DENIED, "'%s' is disabled", actor->name);
	return admin_set_expiry(a, &x->expires_at, DEFAULT_LIFETIME_DAYS, 0);
}

int run_token_add(struct admin *a)
{
	char text[TOKEN_STRLEN];
	enum token_type type = TOKEN_CLIENT;
	enum kind kind = KIND_CLIENT_TOKEN;
	struct complaint c;
	struct token x;
	int rc = token_kind(a, &kind, &type);

	if (rc)
		return rc;
	entity_init(kind, &x);
	rc = set_owner(a, kind, &x);
	rc = rc ? rc : admin_set(a, &x.name, "name");
	if (!rc && check_token(&x, &c))
		rc = admin_complain(a, &c);
	rc = rc ? rc : token_mint(&x, type, "", &a->portal->secrets, a->portal->rng, text);
	rc = rc ? rc : admin_begin(a);
	if (!rc)
		rc = admin_end(a, store_insert(a->portal->store, kind, &x, a->wall));
	rc = admin_show_single(a, kind, &x, rc);
	if (!rc) {
		sheet_put(&a->sheet, "token", text);
		snprintf(a->secret, sizeof(a->secret), "%s", text);
	}
	sodium_memzero(text, sizeof(text));
	entity_deinit(kind, &x);
	return rc;
}

static const enum kind token_kinds[] = { KIND_CLIENT_TOKEN, KIND_GATEWAY_TOKEN, KIND_RELAY_TOKEN };

static int show_token(void *ctx, enum kind k, const void *row)
{
	static const char *const of[] = { "client", "gateway", "relay" };
	struct admin *a = ctx;
	const struct token *x = row;
	const struct actor *actor = directory_get(admin_dir(a), KIND_ACTOR, &x->e.account_id, &x->owner_id);
	const struct site *site = directory_get(admin_dir(a), KIND_SITE, &x->e.account_id, &x->owner_id);
	time_t t = (time_t)(x->expires_at / 1000000);
	char id[UUID_STRLEN], date[32];
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
	sheet_row(&a->sheet);
	sheet_put(&a->sheet, "id", uuid_format(&x->e.id, id));
	sheet_put(&a->sheet, "for", of[k - KIND_CLIENT_TOKEN]);
	sheet_put(&a->sheet, "owner", actor ? actor->name : site ? site->name : NULL);
	sheet_put(&a->sheet, "name", x->name);
	sheet_put(&a->sheet, "expires_at", x->expires_at ? date : NULL);
	return admin_pause_after(a, x);
}

int run_token_list(struct admin *a)
{
	const struct account *account;
	int rc = admin_account(a, &account);

	for (; a->step < ARRAY_LEN(token_kinds) && !rc; a->step++) {
		enum kind k = token_kinds[a->step];

		if (may_see_token(a, k))
			rc = admin_each(a, k, kinds[k].is_global ? NULL : &account->e.id, show_token, a);
		if (a->is_to_go_on)
			break;
	}
	return rc;
}

int run_token_delete(struct admin *a)
{
	static const struct uuid none;
	const struct account *account = NULL;
	const char *target = admin_arg(a, "target");
	struct uuid id;
	int rc;

	if (!target || uuid_parse(SPAN(target, strlen(target)), &id))
		return admin_fail(a, ERR_INVAL, "which token? Give its id (token list)");
	rc = admin_account(a, &account);
	if (rc)
		return rc;
	rc = admin_begin(a);
	if (rc)
		return rc;
	rc = ERR_NOT_FOUND;
	for (size_t i = 0; i < ARRAY_LEN(token_kinds) && rc == ERR_NOT_FOUND; i++)
		if (may_see_token(a, token_kinds[i]))
			rc = store_delete(a->portal->store, token_kinds[i],
					  kinds[token_kinds[i]].is_global ? &none : &account->e.id, &id);
	if (rc == ERR_NOT_FOUND)
		(void)admin_fail(a, rc, "there is no token '%s'", target);
	a->id = id;
	a->is_quiet = true;
	return admin_end(a, rc);
}

/* Revokes all tokens of a site, or of an actor's clients. */
int run_token_delete_all(struct admin *a)
{
	const struct account *account;
	struct uuid owner = { 0 };
	enum token_type type = TOKEN_CLIENT;
	enum kind kind = KIND_CLIENT_TOKEN;
	int rc = admin_account(a, &account);

	rc = rc ? rc : token_kind(a, &kind, &type);
	rc = rc ? rc : admin_set_id(a, kind == KIND_GATEWAY_TOKEN ? KIND_SITE : KIND_ACTOR, account,
				    kind == KIND_GATEWAY_TOKEN ? "site" : "actor", &owner);
	if (rc)
		return rc;
	rc = admin_begin(a);
	if (!rc)
		rc = admin_end(a, store_revoke(a->portal->store, kind == KIND_GATEWAY_TOKEN ? REVOKE_TOKENS_OF_SITE : REVOKE_TOKENS_OF_ACTOR,
					       &account->e.id, &owner));
	a->is_quiet = true;
	return rc;
}

/* ---- client, gateway ------------------------------------------------------------------------------------------------------------------ */

static int find_device(struct admin *a, union any_entity *x)
{
	const struct account *account;
	const char *target = admin_arg(a, "target");
	int rc = admin_account(a, &account);

	if (rc)
		return rc;
	rc = target ? admin_find_row(a, a->noun->kind, &account->e.id, target, x) : admin_fail(a, ERR_INVAL, "which %s?", a->noun->name);
	if (rc)
		return rc;
	rc = admin_check_unchanged(a, x);
	if (rc)
		entity_deinit(a->noun->kind, x);
	return rc;
}

static int save_device(struct admin *a, union any_entity *x, bool is_revoking)
{
	enum kind k = a->noun->kind;
	struct complaint c;
	int rc = check_device(k, &x->device, &c) ? admin_complain(a, &c) : 0;

	rc = rc ? rc : admin_begin(a);
	if (!rc) {
		rc = store_update(a->portal->store, k, x, a->wall);
		if (!rc && is_revoking)
			rc = store_revoke(a->portal->store, REVOKE_AUTHORIZATIONS_OF_CLIENT, &x->e.account_id, &x->e.id);
		rc = admin_end(a, rc);
	}
	rc = admin_show_single(a, k, x, rc);
	entity_deinit(k, x);
	return rc;
}

static int rename_device(struct admin *a)
{
	union any_entity x;
	int rc = find_device(a, &x);

	if (rc)
		return rc;
	rc = admin_set(a, &x.device.name, "name");
	if (!rc)
		return save_device(a, &x, false);
	entity_deinit(a->noun->kind, &x);
	return rc;
}

int run_client_update(struct admin *a)
{
	return rename_device(a);
}

int run_gateway_update(struct admin *a)
{
	return rename_device(a);
}

int run_client_verify(struct admin *a)
{
	union any_entity x;
	int rc = find_device(a, &x);

	if (rc)
		return rc;
	x.client.verified_at = (i64)(a->wall / 1000);
	return save_device(a, &x, false);
}

int run_client_unverify(struct admin *a)
{
	union any_entity x;
	int rc = find_device(a, &x);

	if (rc)
		return rc;
	x.client.verified_at = 0;
	return save_device(a, &x, true);
}

/* ---- status ----------------------------------------------------------------------------------------------------------------------------- */

int run_status_show(struct admin *a)
{
	struct hub_stats s;

	hub_stats(a->portal->hub, &s);
	a->sheet.is_single = true;
	sheet_row(&a->sheet);
	sheet_put_int(&a->sheet, "clients", s.clients);
	sheet_put_int(&a->sheet, "gateways", s.gateways);
	sheet_put_int(&a->sheet, "relays", s.relays);
	sheet_put_int(&a->sheet, "connects", (i64)s.connects);
	sheet_put_int(&a->sheet, "refused_token", (i64)s.refused_token);
	sheet_put_int(&a->sheet, "refused_rate", (i64)s.refused_rate);
	sheet_put_int(&a->sheet, "refused_other", (i64)s.refused_other);
	sheet_put_int(&a->sheet, "flows_created", (i64)s.flows_created);
	sheet_put_int(&a->sheet, "flows_not_found", (i64)s.flows_not_found);
	sheet_put_int(&a->sheet, "flows_forbidden", (i64)s.flows_forbidden);
	sheet_put_int(&a->sheet, "flows_offline", (i64)s.flows_offline);
	sheet_put_int(&a->sheet, "flows_version_mismatch", (i64)s.flows_version);
	sheet_put_int(&a->sheet, "flows_timed_out", (i64)s.flows_timed_out);
	sheet_put_int(&a->sheet, "evicted", (i64)s.evicted);
	sheet_put_int(&a->sheet, "limits_reached", (i64)s.limits_reached);
	sheet_put_int(&a->sheet, "store_errors", (i64)s.store_errors);
	return 0;
}
