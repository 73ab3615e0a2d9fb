/* account, actor, group, member */
#include "applets/portal/admin/rights.h"
#include "applets/portal/model/rules.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- small helpers shared by the verbs of this file --------------------------------------------------------------------------------- */

static int set_limit(struct admin *a, i64 *field, const char *option)
{
	const char *value = admin_arg(a, option);
	char *end;

	if (!value)
		return 0;
	if (rights_operator_only(a, "change limits"))
		return ERR_DENIED;
	if (strcmp(value, "none") == 0 || !*value) {
		*field = -1;
		return 0;
	}
	long long n = strtoll(value, &end, 10);
	if (!isdigit((unsigned char)value[0]) || *end)
		return admin_fail(a, ERR_INVAL, "--%s: '%s' is neither a number nor none", option, value);
	*field = n;
	return 0;
}

/* ---- account ---------------------------------------------------------------------------------------------------------------------------- */

/* "Acme Corp." to acme_corp. */
static void slug_of(const char *name, char out[static 64])
{
	size_t n = 0;

	for (const char *p = name; *p && n < 60; p++) {
		if (isalnum((unsigned char)*p))
			out[n++] = (char)tolower((unsigned char)*p);
		else if (n > 0 && out[n - 1] != '_')
			out[n++] = '_';
	}
	while (n > 0 && out[n - 1] == '_')
		n--;
	while (n < 3)
		out[n++] = '_';
	out[n] = '\0';
}

static int set_dns(struct admin *a, struct account *x)
{
	const char *dns = admin_arg(a, "dns"), *colon;
	int provider;

	if (!dns)
		return 0;
	colon = strchr(dns, ':');
	if (strcmp(dns, "system") == 0) {
		x->dns_type = DNS_SYSTEM;
		return 0;
	}
	if (strncmp(dns, "secure:", 7) == 0) {
		provider = enum_parse(doh_provider_names, colon + 1);
		if (provider < 0)
			return admin_fail(a, ERR_INVAL, "--dns: '%s' is not one of google, opendns, cloudflare, quad9", colon + 1);
		x->dns_type = DNS_SECURE;
		x->doh_provider = provider;
		return 0;
	}
	if (strncmp(dns, "custom:", 7) == 0) {
		int rc = text_set(&x->dns_addresses, colon + 1);
		for (char *p = x->dns_addresses; !rc && p && *p; p++)
			if (*p == ',')
				*p = ' ';
		x->dns_type = DNS_CUSTOM;
		return rc;
	}
	return admin_fail(a, ERR_INVAL, "--dns: '%s' is none of system, secure:PROVIDER, custom:ADDRESS,…", dns);
}

static int set_client_to_client(struct admin *a, struct account *x)
{
	const char *value = admin_arg(a, "client-to-client");
	bool is_on;

	if (!value)
		return 0;
	if (options_bool(value, &is_on))
		return admin_fail(a, ERR_INVAL, "--client-to-client: '%s' is neither on nor off", value);
	if (!is_on)
		x->client_to_client_at = 0;
	else if (!x->client_to_client_at)
		x->client_to_client_at = (i64)(a->wall / 1000);
	return 0;
}

static int read_account(struct admin *a, struct account *x)
{
	struct complaint c;
	int rc = admin_set(a, &x->name, "name");

	rc = rc ? rc : admin_set(a, &x->legal_name, "legal-name");
	rc = rc ? rc : admin_set(a, &x->slug, "slug");
	rc = rc ? rc : admin_set(a, &x->search_domain, "search-domain");
	rc = rc ? rc : set_dns(a, x);
	rc = rc ? rc : set_limit(a, &x->limit_users, "limit-users");
	rc = rc ? rc : set_limit(a, &x->limit_service_accounts, "limit-service-accounts");
	rc = rc ? rc : set_limit(a, &x->limit_sites, "limit-sites");
	rc = rc ? rc : set_limit(a, &x->limit_admins, "limit-admins");
	rc = rc ? rc : set_limit(a, &x->limit_monthly_active_users, "limit-monthly-active-users");
	rc = rc ? rc : set_limit(a, &x->limit_api_clients, "limit-api-clients");
	rc = rc ? rc : set_limit(a, &x->limit_api_tokens_per_client, "limit-api-tokens-per-client");
	rc = rc ? rc : set_limit(a, &x->api_refill_rate, "api-refill-rate");
	rc = rc ? rc : set_limit(a, &x->api_capacity, "api-capacity");
	rc = rc ? rc : admin_set_bool(a, &x->has_policy_conditions, "policy-conditions");
	rc = rc ? rc : admin_set_bool(a, &x->has_traffic_filters, "traffic-filters");
	rc = rc ? rc : admin_set_bool(a, &x->has_idp_sync, "idp-sync");
	rc = rc ? rc : admin_set_bool(a, &x->has_rest_api, "rest-api");
	rc = rc ? rc : admin_set_bool(a, &x->has_internet_resource, "internet-resource");
	rc = rc ? rc : admin_set_bool(a, &x->notify_outdated_gateway, "notify-outdated-gateway");
	rc = rc ? rc : set_client_to_client(a, x);
	if (rc)
		return rc;
	rc = check_account(x, &c);
	return rc == ERR_INVAL ? admin_complain(a, &c) : rc;
}

static int make_key(struct admin *a, struct account *x)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	char key[7];

	for (int i = 0; i < 6; i++)
		key[i] = letters[rng_below(a->portal->rng, sizeof(letters) - 1)];
	key[6] = '\0';
	return text_set(&x->key, key);
}

/* The two ways to sign in that need nobody else. */
static int insert_own_providers(struct admin *a, const struct account *x)
{
	static const struct {
		enum provider_type type;
		const char *name;
	} own[] = { { PROVIDER_EMAIL_OTP, PROVIDER_EMAIL_OTP_NAME }, { PROVIDER_USERPASS, PROVIDER_USERPASS_NAME } };
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(own) && !rc; i++) {
		struct auth_provider p;
		struct complaint c;

		entity_init(KIND_AUTH_PROVIDER, &p);
		p.e = admin_new(a, x);
		p.type = own[i].type;
		rc = text_set(&p.name, own[i].name);
		rc = rc ? rc : check_auth_provider(&p, &c);
		rc = rc ? rc : store_insert(a->portal->store, KIND_AUTH_PROVIDER, &p, a->wall);
		entity_deinit(KIND_AUTH_PROVIDER, &p);
	}
	return rc;
}

/* What every account begins with (spec 60 §1.2). */
static int insert_beginnings(struct admin *a, const struct account *x)
{
	struct store *s = a->portal->store;
	struct group everyone = { .e = admin_new(a, x), .name = EVERYONE, .type = GROUP_MANAGED };
	struct site first = { .e = admin_new(a, x), .name = "Default Site", .managed_by = MANAGED_BY_ACCOUNT };
	struct site internet = { .e = admin_new(a, x), .name = INTERNET_SITE, .managed_by = MANAGED_BY_SYSTEM };
	struct resource all = { .e = admin_new(a, x), .site_id = internet.e.id, .type = RESOURCE_INTERNET, .name = "Internet" };
	int rc = store_insert(s, KIND_GROUP, &everyone, a->wall);

	rc = rc ? rc : insert_own_providers(a, x);
	rc = rc ? rc : store_insert(s, KIND_SITE, &first, a->wall);
	rc = rc ? rc : store_insert(s, KIND_SITE, &internet, a->wall);
	return rc ? rc : store_insert(s, KIND_RESOURCE, &all, a->wall);
}

static int insert_first_admin(struct admin *a, const struct account *x)
{
	const char *email = admin_arg(a, "admin-email"), *name = admin_arg(a, "admin-name");
	struct actor admin;
	struct complaint c;
	int rc;

	if (!email)
		return 0;
	entity_init(KIND_ACTOR, &admin);
	admin.e = admin_new(a, x);
	admin.type = ACTOR_ADMIN;
	admin.allow_email_otp_sign_in = true;
	rc = text_set(&admin.email, email);
	rc = rc ? rc : text_set(&admin.name, name ? name : email);
	rc = rc ? rc : check_actor(&admin, &c);
	if (rc == ERR_INVAL)
		(void)admin_fail(a, rc, "--admin-%s: %s", c.field, c.reason);
	rc = rc ? rc : store_insert(a->portal->store, KIND_ACTOR, &admin, a->wall);
	entity_deinit(KIND_ACTOR, &admin);
	return rc;
}

int run_account_add(struct admin *a)
{
	struct account x;
	char slug[64];
	int rc;

	entity_init(KIND_ACCOUNT, &x);
	x.e.id = x.e.account_id = admin_new_id(a);
	slug_of(admin_arg(a, "name") ? admin_arg(a, "name") : "", slug);
	rc = text_set(&x.slug, slug);
	rc = rc ? rc : make_key(a, &x);
	rc = rc ? rc : read_account(a, &x);
	rc = rc ? rc : admin_begin(a);
	if (!rc) {
		rc = store_insert(a->portal->store, KIND_ACCOUNT, &x, a->wall);
		if (rc == ERR_EXISTS)
			(void)admin_fail(a, rc, "--slug: there is already an account with the slug '%s'", x.slug);
		rc = rc ? rc : insert_beginnings(a, &x);
		rc = rc ? rc : insert_first_admin(a, &x);
		rc = admin_end(a, rc);
	}
	rc = admin_show_single(a, KIND_ACCOUNT, &x, rc);
	entity_deinit(KIND_ACCOUNT, &x);
	return rc;
}

static int find_account_row(struct admin *a, struct account *x)
{
	const char *target = admin_arg(a, "target");
	const struct account *found;

	int rc = target ? admin_account_named(a, target, &found) : admin_account(a, &found);

	rc = rc ? rc : admin_check_unchanged(a, found);
	return rc ? rc : entity_copy(KIND_ACCOUNT, x, found);
}

static int save_account(struct admin *a, struct account *x)
{
	int rc = admin_begin(a);

	if (!rc) {
		rc = store_update(a->portal->store, KIND_ACCOUNT, x, a->wall);
		/* a disabled account has no sessions and grants nothing (spec 60 §5.2) */
		if (!rc && x->disabled_at)
			rc = store_revoke(a->portal->store, REVOKE_TOKENS_OF_ACCOUNT, &x->e.id, NULL);
		if (!rc && x->disabled_at)
			rc = store_revoke(a->portal->store, REVOKE_AUTHORIZATIONS_OF_ACCOUNT, &x->e.id, NULL);
		rc = admin_end(a, rc);
	}
	rc = admin_show_single(a, KIND_ACCOUNT, x, rc);
	entity_deinit(KIND_ACCOUNT, x);
	return rc;
}

int run_account_update(struct admin *a)
{
	struct account x;
	int rc = find_account_row(a, &x);

	if (rc)
		return rc;
	rc = read_account(a, &x);
	if (!rc)
		return save_account(a, &x);
	entity_deinit(KIND_ACCOUNT, &x);
	return rc;
}

int run_account_disable(struct admin *a)
{
	struct account x;
	int rc = find_account_row(a, &x);

	if (rc)
		return rc;
	x.disabled_at = (i64)(a->wall / 1000);
	rc = admin_set(a, &x.disabled_reason, "reason");
	if (!rc)
		return save_account(a, &x);
	entity_deinit(KIND_ACCOUNT, &x);
	return rc;
}

int run_account_enable(struct admin *a)
{
	struct account x;
	int rc = find_account_row(a, &x);

	if (rc)
		return rc;
	x.disabled_at = 0;
	(void)text_set(&x.disabled_reason, NULL);
	return save_account(a, &x);
}

/* ---- actor ------------------------------------------------------------------------------------------------------------------------------- */

static int parse_actor_type(struct admin *a, int *type)
{
	static const char *const short_names[] = { "user", "admin", "service-account", "api-client", NULL };
	const char *text = admin_arg(a, "type");
	int rc;

	if (!text)
		return 0;
	rc = enum_parse(short_names, text);
	rc = rc < 0 ? enum_parse(actor_type_names, text) : rc;
	if (rc < 0)
		return admin_fail(a, ERR_INVAL, "--type: '%s' is none of user, admin, service-account, api-client", text);
	*type = rc;
	return 0;
}

/* May there be one more of that type? */
static int check_limits(struct admin *a, const struct account *account, int type)
{
	int rc;

	switch ((enum actor_type)type) {
	case ACTOR_USER:
	case ACTOR_ADMIN:
		rc = admin_check_limit(a, account, LIMIT_USERS);
		return rc || type == ACTOR_USER ? rc : admin_check_limit(a, account, LIMIT_ADMINS);
	case ACTOR_SERVICE:
		return admin_check_limit(a, account, LIMIT_SERVICE_ACCOUNTS);
	case ACTOR_API:
		return admin_check_limit(a, account, LIMIT_API_CLIENTS);
	}
	return 0;
}

static bool is_about_api_clients(const struct admin *a)
{
	return strcmp(a->noun->name, "api-client") == 0;
}

int run_actor_add(struct admin *a)
{
	const struct account *account;
	struct complaint c;
	struct actor x;
	int rc = admin_account(a, &account);

	if (rc)
		return rc;
	entity_init(KIND_ACTOR, &x);
	x.e = admin_new(a, account);
	x.type = is_about_api_clients(a) ? ACTOR_API : ACTOR_USER;
	rc = parse_actor_type(a, &x.type);
	rc = rc ? rc : admin_set(a, &x.name, "name");
	rc = rc ? rc : admin_set(a, &x.email, "email");
	rc = rc ? rc : admin_set_bool(a, &x.allow_email_otp_sign_in, "allow-email-otp-sign-in");
	if (!rc && !x.name && x.email)
		rc = text_set(&x.name, x.email);
	if (!rc && check_actor(&x, &c))
		rc = admin_complain(a, &c);
	rc = rc ? rc : check_limits(a, account, x.type);
	rc = rc ? rc : admin_begin(a);
	if (!rc) {
		rc = store_insert(a->portal->store, KIND_ACTOR, &x, a->wall);
		if (rc == ERR_EXISTS)
			(void)admin_fail(a, rc, "--email: there is already an actor with the e-mail address '%s'", x.email);
		rc = admin_end(a, rc);
	}
	rc = admin_show_single(a, KIND_ACTOR, &x, rc);
	entity_deinit(KIND_ACTOR, &x);
	return rc;
}

static int find_actor(struct admin *a, struct actor *x)
{
	const struct account *account;
	const void *found;
	int rc = admin_account(a, &account);

	rc = rc ? rc : admin_find(a, KIND_ACTOR, account, admin_arg(a, "target") ? admin_arg(a, "target") : "", &found);
	if (!rc && admin_is_hidden(a, KIND_ACTOR, found))
		rc = admin_fail(a, ERR_NOT_FOUND, "there is no API client '%s'", admin_arg(a, "target"));
	rc = rc ? rc : admin_check_unchanged(a, found);
	return rc ? rc : entity_copy(KIND_ACTOR, x, found);
}

/* The last enabled admin keeps the role (spec 60 §1.3). */
static int protect_last_admin(struct admin *a, const struct actor *x)
{
	const struct actor *was = directory_get(admin_dir(a), KIND_ACTOR, &x->e.account_id, &x->e.id);
	i64 n;
	int rc;

	if (was->type != ACTOR_ADMIN || was->disabled_at || (x->type == ACTOR_ADMIN && !x->disabled_at))
		return 0;
	rc = store_count(a->portal->store, COUNT_ENABLED_ADMINS, &x->e.account_id, &n);
	if (rc)
		return admin_store_failed(a, rc);
	return n > 1 ? 0 : admin_fail(a, ERR_DENIED, "'%s' is the last enabled admin of the account: make another one first", x->name);
}

/* Nobody takes from himself what lets him undo it (spec 60 §1.3). */
static int protect_self(struct admin *a, const struct actor *x)
{
	const struct actor *was = directory_get(admin_dir(a), KIND_ACTOR, &x->e.account_id, &x->e.id);

	if (!rights_is_self(a, &x->e.id))
		return 0;
	if (x->disabled_at && !was->disabled_at)
		return admin_fail(a, ERR_DENIED, "You cannot disable yourself: ask another admin");
	return was->type == x->type ? 0 : admin_fail(a, ERR_DENIED, "--type: you cannot change your own role: ask another admin");
}

/* What an actor has in his hands that he may no longer have (spec 60 §3.11). */
static int revoke_of_actor(struct admin *a, const struct actor *x, bool was_admin)
{
	struct store *s = a->portal->store;
	int rc = 0;

	if (x->disabled_at) {
		rc = store_revoke(s, REVOKE_TOKENS_OF_ACTOR, &x->e.account_id, &x->e.id);
		rc = rc ? rc : store_revoke(s, REVOKE_PASSCODES_OF_ACTOR, &x->e.account_id, &x->e.id);
		rc = rc ? rc : store_revoke(s, REVOKE_LINKS_OF_ACTOR, &x->e.account_id, &x->e.id);
	}
	if (!rc && (x->disabled_at || (was_admin && x->type != ACTOR_ADMIN)))
		rc = store_revoke(s, REVOKE_SESSIONS_OF_ACTOR, &x->e.account_id, &x->e.id);
	return rc;
}

static int save_actor(struct admin *a, struct actor *x)
{
	const struct actor *was = directory_get(admin_dir(a), KIND_ACTOR, &x->e.account_id, &x->e.id);
	bool was_admin = was->type == ACTOR_ADMIN;
	int rc = protect_self(a, x);

	rc = rc ? rc : protect_last_admin(a, x);

	rc = rc ? rc : admin_begin(a);
	if (!rc) {
		rc = store_update(a->portal->store, KIND_ACTOR, x, a->wall);
		if (rc == ERR_EXISTS)
			(void)admin_fail(a, rc, "--email: there is already an actor with the e-mail address '%s'", x->email);
		rc = rc ? rc : revoke_of_actor(a, x, was_admin);
		rc = admin_end(a, rc);
	}
	rc = admin_show_single(a, KIND_ACTOR, x, rc);
	entity_deinit(KIND_ACTOR, x);
	return rc;
}

int run_actor_update(struct admin *a)
{
	struct complaint c;
	struct actor x;
	int type, rc = find_actor(a, &x);

	if (rc)
		return rc;
	type = x.type;
	rc = parse_actor_type(a, &x.type);
	if (!rc && type != x.type && (type > ACTOR_ADMIN || x.type > ACTOR_ADMIN))
		rc = admin_fail(a, ERR_INVAL, "only a user can become an admin and an admin a user");
	rc = rc ? rc : admin_set(a, &x.name, "name");
	rc = rc ? rc : admin_set(a, &x.email, "email");
	rc = rc ? rc : admin_set_bool(a, &x.allow_email_otp_sign_in, "allow-email-otp-sign-in");
	if (!rc && check_actor(&x, &c))
		rc = admin_complain(a, &c);
	if (!rc && x.type == ACTOR_ADMIN && type != x.type)
		rc = admin_check_limit(a, directory_account(admin_dir(a), &x.e.account_id), LIMIT_ADMINS);
	if (!rc)
		return save_actor(a, &x);
	entity_deinit(KIND_ACTOR, &x);
	return rc;
}

int run_actor_disable(struct admin *a)
{
	struct actor x;
	int rc = find_actor(a, &x);

	if (rc)
		return rc;
	x.disabled_at = (i64)(a->wall / 1000);
	return save_actor(a, &x);
}

int run_actor_enable(struct admin *a)
{
	struct actor x;
	int rc = find_actor(a, &x);

	if (rc)
		return rc;
	if (x.disabled_at)
		rc = check_limits(a, directory_account(admin_dir(a), &x.e.account_id), x.type);
	x.disabled_at = 0;
	if (!rc)
		return save_actor(a, &x);
	entity_deinit(KIND_ACTOR, &x);
	return rc;
}

/* ---- group, member ----------------------------------------------------------------------------------------------------------------------- */

int run_group_add(struct admin *a)
{
	const struct account *account;
	struct complaint c;
	struct group x;
	int rc = admin_account(a, &account);

	if (rc)
		return rc;
	entity_init(KIND_GROUP, &x);
	x.e = admin_new(a, account);
	rc = admin_set(a, &x.name, "name");
	if (!rc && check_group(&x, &c))
		rc = admin_complain(a, &c);
	rc = rc ? rc : admin_begin(a);
	if (!rc) {
		rc = store_insert(a->portal->store, KIND_GROUP, &x, a->wall);
		if (rc == ERR_EXISTS)
			(void)admin_fail(a, rc, "--name: there is already a group '%s'", x.name);
		rc = admin_end(a, rc);
	}
	rc = admin_show_single(a, KIND_GROUP, &x, rc);
	entity_deinit(KIND_GROUP, &x);
	return rc;
}

int admin_find_group(struct admin *a, const char *option, const struct account *account, const struct group **out)
{
	const char *name = admin_arg(a, option);
	const void *found;
	int rc = name ? admin_find(a, KIND_GROUP, account, name, &found) : admin_fail(a, ERR_INVAL, "which group?");

	if (!rc && strcmp(option, "target") == 0)
		rc = admin_check_unchanged(a, found);
	*out = rc ? NULL : found;
	return rc;
}

int run_group_update(struct admin *a)
{
	const struct account *account;
	const struct group *found;
	struct complaint c;
	struct group x;
	int rc = admin_account(a, &account);

	rc = rc ? rc : admin_find_group(a, "target", account, &found);
	if (rc)
		return rc;
	if (found->type == GROUP_MANAGED || found->idp_id)
		return admin_fail(a, ERR_DENIED, "the group '%s' is managed by %s", found->name, found->idp_id ? "its directory" : "the portal");
	rc = entity_copy(KIND_GROUP, &x, found);
	if (rc)
		return rc;
	rc = admin_set(a, &x.name, "name");
	if (!rc && check_group(&x, &c))
		rc = admin_complain(a, &c);
	rc = rc ? rc : admin_begin(a);
	if (!rc)
		rc = admin_end(a, store_update(a->portal->store, KIND_GROUP, &x, a->wall));
	rc = admin_show_single(a, KIND_GROUP, &x, rc);
	entity_deinit(KIND_GROUP, &x);
	return rc;
}

static int find_member(struct admin *a, const struct account **account, const struct group **group, const struct actor **actor)
{
	const char *name = admin_arg(a, "actor");
	const void *found;
	int rc = admin_account(a, account);

	rc = rc ? rc : admin_find_group(a, "group", *account, group);
	if (rc)
		return rc;
	if ((*group)->type == GROUP_MANAGED)
		return admin_fail(a, ERR_DENIED, "the members of '%s' follow from what they are", (*group)->name);
	if ((*group)->idp_id)
		return admin_fail(a, ERR_DENIED, "the members of '%s' come from its directory", (*group)->name);
	rc = name ? admin_find(a, KIND_ACTOR, *account, name, &found) : admin_fail(a, ERR_INVAL, "which actor?");
	*actor = rc ? NULL : found;
	return rc;
}

int run_member_add(struct admin *a)
{
	const struct account *account;
	const struct group *group;
	const struct actor *actor;
	struct membership x;
	int rc = find_member(a, &account, &group, &actor);

	if (rc)
		return rc;
	x = (struct membership){ .e = admin_new(a, account), .actor_id = actor->e.id, .group_id = group->e.id };
	rc = admin_begin(a);
	if (rc)
		return rc;
	rc = store_insert(a->portal->store, KIND_MEMBERSHIP, &x, a->wall);
	if (rc == ERR_EXISTS)
		(void)admin_fail(a, rc, "'%s' is already a member of '%s'", actor->name, group->name);
	rc = admin_end(a, rc);
	a->is_quiet = true;
	return rc;
}

int run_member_remove(struct admin *a)
{
	const struct account *account;
	const struct group *group;
	const struct actor *actor;
	struct uuid id;
	int rc = find_member(a, &account, &group, &actor);

	if (rc)
		return rc;
	if (!directory_is_member(admin_dir(a), actor, group, &id))
		return admin_fail(a, ERR_NOT_FOUND, "'%s' is not a member of '%s'", actor->name, group->name);
	rc = admin_begin(a);
	if (!rc)
		rc = admin_end(a, store_delete(a->portal->store, KIND_MEMBERSHIP, &account->e.id, &id));
	a->is_quiet = true;
	return rc;
}

int run_member_list(struct admin *a)
{
	const struct account *account;
	const struct group *group;
	int rc = admin_account(a, &account);
	void *const *list;
	u32 n;

	rc = rc ? rc : admin_find_group(a, "group", account, &group);
	if (rc)
		return rc;
	list = directory_all(admin_dir(a), KIND_ACTOR, &account->e.id, &n);
	for (u32 i = admin_resume(a, list, n); i < n; i++) {
		struct uuid id;
		if (directory_is_member(admin_dir(a), list[i], group, &id))
			admin_show(a, KIND_ACTOR, list[i]);
		if (admin_pause_after(a, list[i]))
			break;
	}
	return 0;
}
