/* applets/portal/admin/verbs.h: the table of nouns and verbs, and what every verb is written with.
 *
 * A verb finds what it is about, changes a copy, checks it (model/rules.h) and saves it in one transaction; it returns 0 or what
 * admin_fail() and its kin returned. Fields that every verb understands, in no table of options: `if-updated-at` (microseconds: refuse when
 * the thing was changed since; an update, when what it sets was) on verbs with a target.
 */
#pragma once

#include "applets/common/options.h"
#include "applets/portal/admin/admin.h"
#include "applets/portal/admin/sheet.h"

/* ---- the table ---- */

/* Every value a verb can take; the command line fills one of these. */
struct admin_args {
	const char *target, *account, *name, *slug, *email, *type, *admin_email, *admin_name, *search_domain, *dns, *site, *address,
		*description, *ip_stack, *group, *resource, *actor, *expires, *limit_users, *limit_service_accounts, *limit_sites,
		*limit_admins, *client_to_client, *client, *dir;
	const char *limit_active_users, *limit_api_clients, *limit_api_tokens, *legal_name, *policy_conditions, *traffic_filters, *idp_sync,
		*rest_api, *internet_resource, *notify_outdated_gateway, *api_refill_rate, *api_capacity, *email_otp, *reason;
	const char *issuer, *client_id, *client_secret, *discovery, *okta_domain, *email_claim, *context, *client_lifetime, *portal_lifetime,
		*legacy, *verified, *is_default, *purpose, *provider;
	const char *domain, *impersonation_email, *service_account_key, *tenant_id, *jwk, *kid, *group_sync_mode, *email_field, *orgunit_sync,
		*sync_all_groups;
	const char *from, *to, *kind, *op, *text, *limit, *state;
	struct opt_list filter, condition, member, add, remove;
	bool relay, no_filters, no_conditions, disabled, json;
};

struct admin;

#define VERB_READS 1u	  /* changes nothing */
#define VERB_OPERATORS 2u /* about the whole portal: no principal of an account may */

struct verb {
	const char *name, *help;
	int (*run)(struct admin *a);
	const struct opt_def *options;
	u32 n_options;
	const char *examples;
	u8 flags;
};

/* What an API client may do with a noun (spec 60 §1.1). */
enum api_rights { API_NOTHING, API_READS, API_ALL };

struct noun {
	const char *name, *help;
	enum kind kind;
	enum api_rights api;
	const struct verb *verbs;
	u32 n_verbs;
};

struct complaint;

extern const struct noun nouns[];
extern const u32 n_nouns;

const struct noun *find_noun(const char *name);
const struct verb *find_verb(const struct noun *n, const char *name);

/* ---- for the verbs ---- */

struct admin {
	struct portal *portal;
	const struct admin_request *rq;
	const struct noun *noun;
	const struct verb *verb;
	struct sheet sheet;
	u64 now, wall;
	/* of what is long */
	u64 pause_at;		/* the end of this slice */
	bool is_to_go_on;	/* the verb is not done: run() is called again */
	u32 step;		/* the verb's own, like the next two: where it goes on */
	i64 before;
	struct uuid after;
	struct change_of_members *change;
	struct uuid id;		       /* of the thing made or changed */
	char secret[ADMIN_SECRET_MAX]; /* a token or link that was made */
	bool is_quiet;		       /* nothing to print */
	char field[32];		       /* which value is wrong */
	char err[ADMIN_REASON_MAX];      /* what went wrong, with what, and what to do */
};

const struct directory *admin_dir(const struct admin *a);
/* The value given for an option; NULL when not given. */
const char *admin_arg(const struct admin *a, const char *name);
/* All values of a repeated option, joined; NULL when none. The caller frees. */
char *admin_args_joined(const struct admin *a, const char *name, const char *separator);

/* Fill a->err and return what the verb shall return: ERR_INVAL (a value; status 2) or another (status 1; ERR_NOT_FOUND, ERR_DENIED,
 * ERR_EXISTS and ERR_STATE (conflict), ERR_LIMIT). A text that begins "--name: " is about the field of that name. */
int admin_fail(struct admin *a, int rc, const char *fmt, ...) PRINTF_LIKE(3, 4);
int admin_complain(struct admin *a, const struct complaint *c);
/* Unless the thing is as old as the request's `if-updated-at` says, or nothing that the request sets was changed since: somebody else saved
 * meanwhile (ERR_STATE). */
int admin_check_unchanged(struct admin *a, const void *entity) MUST_CHECK;
int admin_store_failed(struct admin *a, int rc);

/* Is it time to let others have their turn? Then remember where, set a->is_to_go_on and return 0. */
bool admin_is_slice_over(const struct admin *a);
/* For what walks over things: when it is time, goes on behind this one, now ERR_AGAIN. Else 0. */
int admin_pause_after(struct admin *a, const void *entity) MUST_CHECK;
/* store_list() as far as a slice goes, from where the last one stopped; `each` ends with admin_pause_after(). */
int admin_each(struct admin *a, enum kind k, const struct uuid *account, store_each each, void *ctx) MUST_CHECK;
/* The first of a list of the directory, in order of ids, that comes after a->after. */
u32 admin_resume(const struct admin *a, void *const *list, u32 n);

/* The account the request is about: --account, or the only one there is. */
int admin_account(struct admin *a, const struct account **out) MUST_CHECK;
/* The account of that slug or id, if the request may know of it. */
int admin_account_named(struct admin *a, const char *name, const struct account **out) MUST_CHECK;
/* A thing by id or name. For kinds of the directory *out is lent; for devices and tokens it is filled (entity_deinit()). */
int admin_find(struct admin *a, enum kind k, const struct account *account, const char *text, const void **out) MUST_CHECK;
int admin_find_row(struct admin *a, enum kind k, const struct uuid *account, const char *text, union any_entity *out) MUST_CHECK;

/* begin, commit and publish; rollback and report on failure. */
int admin_begin(struct admin *a) MUST_CHECK;
int admin_end(struct admin *a, int rc) MUST_CHECK;

/* What it is called; NULL when its kind has no names. */
const char *admin_name_of(enum kind k, const void *entity);
/* Not of the noun, although of its kind: an actor who is no API client. */
bool admin_is_hidden(const struct admin *a, enum kind k, const void *row);
void admin_show(struct admin *a, enum kind k, const void *entity);
struct uuid admin_new_id(struct admin *a);
/* "2027-01-31" (its last second), "2027-01-31T12:00:00Z", or from now on "365d", to microseconds. */
int admin_parse_time(const char *text, u64 wall, i64 *out) MUST_CHECK;
char *admin_format_time(i64 at, char buf[static 32]);
/* Rows of a kind in the account, those that the request's values are true of: `actor`, `site`, ... name what they refer to, `type` and its
 * like what they are. */
int admin_list(struct admin *a, enum kind k) MUST_CHECK;

/* The group or pool that an option names. */
int admin_find_group(struct admin *a, const char *option, const struct account *account, const struct group **out) MUST_CHECK;
int admin_find_pool(struct admin *a, const struct account **account, const struct resource **out) MUST_CHECK;

/* ---- members.c: who is in a group or pool, as a whole ---- */

/* NULL is allowed. */
void change_of_members_free(struct change_of_members *c);
/* Who is in it now: a JSON array of ids, which the caller frees. */
char *change_of_members_result(struct change_of_members *c);

/* ---- common.c: what most verbs do ---- */

/* A value into a field; the field keeps what it has when none was given. Enums take - for _. */
int admin_set(struct admin *a, char **field, const char *option) MUST_CHECK;
int admin_set_bool(struct admin *a, bool *field, const char *option) MUST_CHECK;
int admin_set_enum(struct admin *a, int *field, const char *option, const char *const *names) MUST_CHECK;
/* Index of a name, as above; negative when it is none. */
int admin_enum(const char *const *names, const char *text);
int admin_set_int(struct admin *a, i64 *field, const char *option, i64 min, i64 max) MUST_CHECK;
/* The id of the thing that an option names. */
int admin_set_id(struct admin *a, enum kind k, const struct account *account, const char *option, struct uuid *out) MUST_CHECK;

/* `expires`: a date or a span; without one the end of the day that many days ahead. max_days 0: no limit. */
int admin_set_expiry(struct admin *a, i64 *out, u32 default_days, u32 max_days) MUST_CHECK;
/* May the account have one more? */
enum admin_limit { LIMIT_USERS, LIMIT_ADMINS, LIMIT_SERVICE_ACCOUNTS, LIMIT_API_CLIENTS, LIMIT_SITES, LIMIT_ACTIVE_USERS };
int admin_check_limit(struct admin *a, const struct account *account, enum admin_limit what) MUST_CHECK;

/* Id and account of a thing to be made. */
struct entity admin_new(struct admin *a, const struct account *account);
/* A copy of the thing the request is about, to be changed and released by entity_deinit(). */
int admin_copy_target(struct admin *a, enum kind k, const struct account **account, void *out) MUST_CHECK;
/* The answer of a verb about one thing, unless it failed before; returns rc. */
int admin_show_single(struct admin *a, enum kind k, const void *entity, int rc) MUST_CHECK;
/* One transaction, then admin_show_single(); `exists` (may be NULL) is said when a rule of uniqueness refuses. */
int admin_insert(struct admin *a, enum kind k, void *x, const char *exists) MUST_CHECK;
int admin_update(struct admin *a, enum kind k, void *x, const char *exists) MUST_CHECK;

int run_account_add(struct admin *a);
int run_account_update(struct admin *a);
int run_account_enable(struct admin *a);
int run_account_disable(struct admin *a);
int run_actor_add(struct admin *a);
int run_actor_update(struct admin *a);
int run_actor_enable(struct admin *a);
int run_actor_disable(struct admin *a);
int run_group_add(struct admin *a);
int run_group_update(struct admin *a);
int run_member_add(struct admin *a);
int run_member_remove(struct admin *a);
int run_member_list(struct admin *a);
int run_site_add(struct admin *a);
int run_site_update(struct admin *a);
int run_resource_add(struct admin *a);
int run_resource_update(struct admin *a);
int run_pool_add(struct admin *a);
int run_pool_join(struct admin *a);
int run_pool_leave(struct admin *a);
int run_pool_set_members(struct admin *a);
int run_pool_members(struct admin *a);
int run_policy_add(struct admin *a);
int run_policy_update(struct admin *a);
int run_policy_enable(struct admin *a);
int run_policy_disable(struct admin *a);
int run_token_add(struct admin *a);
int run_token_list(struct admin *a);
int run_token_delete(struct admin *a);
int run_client_update(struct admin *a);
int run_client_verify(struct admin *a);
int run_client_unverify(struct admin *a);
int run_gateway_update(struct admin *a);
int run_status_show(struct admin *a);
int run_group_set_members(struct admin *a);
int run_token_delete_all(struct admin *a);
int run_provider_add(struct admin *a);
int run_provider_update(struct admin *a);
int run_provider_enable(struct admin *a);
int run_provider_disable(struct admin *a);
int run_provider_set_default(struct admin *a);
int run_provider_revoke_sessions(struct admin *a);
int run_provider_delete(struct admin *a);
int run_identity_delete(struct admin *a);
int run_credential_update(struct admin *a);
int run_link_add(struct admin *a);
int run_api_token_add(struct admin *a);
int run_session_list(struct admin *a);
int run_session_delete(struct admin *a);
int run_session_delete_all(struct admin *a);
int run_directory_add(struct admin *a);
int run_directory_update(struct admin *a);
int run_directory_enable(struct admin *a);
int run_directory_disable(struct admin *a);
int run_directory_sync(struct admin *a);
int run_mail_retry(struct admin *a);
int run_audit_list(struct admin *a);
int run_audit_export(struct admin *a);
int run_list(struct admin *a);
int run_show(struct admin *a);
int run_delete(struct admin *a);
