/* applets/portal/admin/admin.h: what an operator can do, as requests: a noun, a verb, named values.
 *
 *	site add  account=acme name=Berlin            ──▶ exit status, text for stdout, text for stderr
 *
 * One request means the same whether it arrives over the Unix socket of a serving portal or is run by the command itself while nothing
 * serves: admin_run() is all there is. It checks, writes in one transaction (with what spec 60 §5.2 says must go with it), and publishes.
 * The table of verbs is shared with the command line, which makes its options and help from it.
 */
#pragma once

#include "applets/common/options.h"
#include "applets/portal/admin/sheet.h"
#include "applets/portal/channels/hub.h"

#define ADMIN_FIELDS_MAX 96u
#define ADMIN_REQUEST_MAX 65536u /* bytes of one encoded request */
#define ADMIN_REPLY_MAX (64u * 1024u * 1024u)

struct mailer;

/* What admin verbs and sockets work on. */
struct portal {
	struct store *store;
	struct secrets secrets;
	struct hub *hub;
	struct rng *rng;
	const struct zones *zones;
	struct mailer *mailer; /* mail/mail.h; NULL: nobody serves, or no mail is sent */
	u64 (*now)(void);
	u64 (*wall)(void);
};

struct admin_field {
	const char *name, *value;
};

struct admin_request {
	const char *noun, *verb;
	bool is_json;
	struct admin_field field[ADMIN_FIELDS_MAX];
	u32 n_fields;
};

struct admin_reply {
	int status; /* 0 done, 1 not possible, 2 not understood */
	char *out, *err;
};

void admin_run(struct portal *p, const struct admin_request *rq, struct admin_reply *reply);
void admin_reply_free(struct admin_reply *reply);

/* Frames on the socket: u32 length, then NUL-terminated strings: "1" or "0" (JSON), noun, verb, name, value, …
 * The reply: u32 length, status byte, then two strings. */
int admin_encode_request(const struct admin_request *rq, struct wr *w) MUST_CHECK;
/* The strings of *rq point into `body`. ERR_MALFORMED, ERR_LIMIT. */
int admin_decode_request(struct span body, struct admin_request *rq) MUST_CHECK;

/* ---- the table ---- */

/* Every value a verb can take; the command line fills one of these. */
struct admin_args {
	const char *target, *account, *name, *slug, *email, *type, *admin_email, *admin_name, *search_domain, *dns, *site, *address,
		*description, *ip_stack, *group, *resource, *actor, *expires, *limit_users, *limit_service_accounts, *limit_sites,
		*limit_admins, *client_to_client, *client, *dir;
	struct opt_list filter, condition;
	bool relay, no_filters, no_conditions, json;
};

struct admin;

struct verb {
	const char *name, *help;
	int (*run)(struct admin *a);
	const struct opt_def *options;
	u32 n_options;
	const char *examples;
};

struct noun {
	const char *name, *help;
	enum kind kind;
	const struct verb *verbs;
	u32 n_verbs;
};

extern const struct noun nouns[];
extern const u32 n_nouns;

const struct noun *find_noun(const char *name);
const struct verb *find_verb(const struct noun *n, const char *name);

/* ---- for the verbs ---- */

struct admin {
	struct portal *portal;
	const struct admin_request *rq;
	const struct noun *noun;
	struct sheet sheet;
	u64 now, wall;
	bool is_quiet;	   /* nothing to print */
	char err[512];	   /* what went wrong, with what, and what to do */
};

const struct directory *admin_dir(const struct admin *a);
/* The value given for an option; NULL when not given. */
const char *admin_arg(const struct admin *a, const char *name);
/* All values of a repeated option, joined; NULL when none. The caller frees. */
char *admin_args_joined(const struct admin *a, const char *name, const char *separator);

/* Fill a->err and return what the verb shall return: ERR_INVAL (usage, status 2) or another (status 1). */
int admin_fail(struct admin *a, int rc, const char *fmt, ...) PRINTF_LIKE(3, 4);
int admin_complain(struct admin *a, const struct complaint *c);
int admin_store_failed(struct admin *a, int rc);

/* The account the request is about: --account, or the only one there is. */
int admin_account(struct admin *a, const struct account **out) MUST_CHECK;
/* A thing by id or name. For kinds of the directory *out is lent; for devices and tokens it is filled (entity_deinit()). */
int admin_find(struct admin *a, enum kind k, const struct account *account, const char *text, const void **out) MUST_CHECK;
int admin_find_row(struct admin *a, enum kind k, const struct uuid *account, const char *text, union any_entity *out) MUST_CHECK;

/* begin, commit and publish; rollback and report on failure. */
int admin_begin(struct admin *a) MUST_CHECK;
int admin_end(struct admin *a, int rc) MUST_CHECK;

void admin_show(struct admin *a, enum kind k, const void *entity);
struct uuid admin_new_id(struct admin *a);
/* "2027-01-31" (its last second), "2027-01-31T12:00:00Z", or from now on "365d", to microseconds. */
int admin_parse_time(const char *text, u64 wall, i64 *out) MUST_CHECK;

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
int run_list(struct admin *a);
int run_show(struct admin *a);
int run_delete(struct admin *a);
