/* directory, mail, audit (spec 60 §8, §12, §1.14) */
#include "applets/portal/admin/rights.h"
#include "applets/portal/mail/mail.h"
#include "applets/portal/model/rules.h"

#include <stdlib.h>

/* ---- directory ------------------------------------------------------------------------------------------------------------------- */

static int read_directory(struct admin *a, struct sync_directory *x)
{
	static const struct {
		const char *option;
		size_t offset;
		bool is_secret; /* not shown by forms: left empty, it stays */
	} texts[] = {
		{ "name", offsetof(struct sync_directory, name), false },
		{ "domain", offsetof(struct sync_directory, domain), false },
		{ "impersonation-email", offsetof(struct sync_directory, impersonation_email), false },
		{ "service-account-key", offsetof(struct sync_directory, service_account_key), true },
		{ "tenant-id", offsetof(struct sync_directory, tenant_id), false },
		{ "okta-domain", offsetof(struct sync_directory, okta_domain), false },
		{ "client-id", offsetof(struct sync_directory, client_id), false },
		{ "client-secret", offsetof(struct sync_directory, client_secret), true },
		{ "private-key-jwk", offsetof(struct sync_directory, private_key_jwk), true },
		{ "kid", offsetof(struct sync_directory, kid), false },
	};
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(texts) && !rc; i++) {
		const char *value = admin_arg(a, texts[i].option);

		if (value && (*value || !texts[i].is_secret))
			rc = admin_set(a, (char **)((char *)x + texts[i].offset), texts[i].option);
	}
	rc = rc ? rc : admin_set_enum(a, &x->group_sync_mode, "group-sync-mode", group_sync_mode_names);
	rc = rc ? rc : admin_set_enum(a, &x->email_field, "email-field", directory_email_names);
	rc = rc ? rc : admin_set_bool(a, &x->orgunit_sync_enabled, "orgunit-sync");
	rc = rc ? rc : admin_set_bool(a, &x->sync_all_groups, "sync-all-groups");
	return rc ? rc : admin_set_bool(a, &x->is_verified, "verified");
}

static int check(struct admin *a, struct sync_directory *x)
{
	struct complaint c;
	int rc = check_directory(x, &c);

	if (rc)
		return rc == ERR_INVAL ? admin_complain(a, &c) : admin_store_failed(a, rc);
	return !x->disabled_at && !x->is_verified ?
		       admin_fail(a, ERR_INVAL, "--verified: must be verified before it can be synced") :
		       0;
}

static const char exists[] = "--name: another directory of this account has this name, domain or tenant already";

int run_directory_add(struct admin *a)
{
	const struct account *account;
	struct sync_directory x;
	int rc = admin_account(a, &account);

	if (rc)
		return rc;
	entity_init(KIND_DIRECTORY, &x);
	x.e = admin_new(a, account);
	x.type = -1;
	rc = admin_set_enum(a, &x.type, "type", directory_type_names);
	if (!rc && x.type < 0)
		rc = admin_fail(a, ERR_INVAL, "--type: is required");
	x.type = MAX(x.type, 0);
	if (!rc && !account->has_idp_sync)
		rc = admin_fail(a, ERR_DENIED, "Directory sync is switched off for this account");
	rc = rc ? rc : read_directory(a, &x);
	if (!x.is_verified)
		x.disabled_at = (i64)(a->wall / 1000);
	rc = rc ? rc : check(a, &x);
	rc = rc ? rc : admin_insert(a, KIND_DIRECTORY, &x, exists);
	entity_deinit(KIND_DIRECTORY, &x);
	return rc;
}

int run_directory_update(struct admin *a)
{
	const struct account *account;
	struct sync_directory x;
	int rc = admin_copy_target(a, KIND_DIRECTORY, &account, &x);

	if (rc)
		return rc;
	rc = read_directory(a, &x);
	rc = rc ? rc : check(a, &x);
	rc = rc ? rc : admin_update(a, KIND_DIRECTORY, &x, exists);
	entity_deinit(KIND_DIRECTORY, &x);
	return rc;
}

static int switch_directory(struct admin *a, bool is_on)
{
	const struct account *account;
	struct sync_directory x;
	int rc = admin_copy_target(a, KIND_DIRECTORY, &account, &x);

	if (rc)
		return rc;
	x.disabled_at = is_on ? 0 : (i64)(a->wall / 1000);
	rc = text_set(&x.disabled_reason, is_on ? NULL : "Disabled by an admin");
	if (is_on) { /* a new start: errors of before are counted no more */
		x.errored_at = x.error_emailed_at = 0;
		x.error_email_count = 0;
		rc = rc ? rc : text_set(&x.error_message, NULL);
	}
	rc = rc ? admin_store_failed(a, rc) : check(a, &x);
	rc = rc ? rc : admin_update(a, KIND_DIRECTORY, &x, exists);
	entity_deinit(KIND_DIRECTORY, &x);
	return rc;
}

int run_directory_enable(struct admin *a)
{
	return switch_directory(a, true);
}

int run_directory_disable(struct admin *a)
{
	return switch_directory(a, false);
}

int run_directory_sync(struct admin *a)
{
	const struct account *account;
	struct sync_directory x;
	int rc = admin_copy_target(a, KIND_DIRECTORY, &account, &x);

	if (rc)
		return rc;
	if (x.disabled_at)
		rc = admin_fail(a, ERR_DENIED, "The directory '%s' is disabled: enable it first", x.name);
	else if (!a->portal->sync_now)
		rc = admin_fail(a, ERR_UNSUPPORTED, "Only a serving portal syncs: start it with emberbox portal serve");
	else
		rc = a->portal->sync_now(a->portal->sync_ctx, &x.e.account_id, &x.e.id);
	if (rc == ERR_AGAIN)
		(void)admin_fail(a, ERR_STATE, "A sync of '%s' is running already", x.name);
	rc = admin_show_single(a, KIND_DIRECTORY, &x, rc == ERR_AGAIN ? ERR_STATE : rc);
	entity_deinit(KIND_DIRECTORY, &x);
	return rc;
}

/* ---- mail -------------------------------------------------------------------------------------------------------------------------- */

int run_mail_retry(struct admin *a)
{
	const struct account *account;
	struct mail_row x;
	int rc = admin_copy_target(a, KIND_MAIL, &account, &x);

	if (rc)
		return rc;
	if (x.state == MAIL_SENT)
		rc = admin_fail(a, ERR_STATE, "This mail was sent already");
	else if (!x.body_text || (x.expires_at && x.expires_at <= (i64)(a->wall / 1000))) /* codes and links do not wait (mail/queue.h) */
		rc = admin_fail(a, ERR_STATE, "This mail is out of date: do again what made it");
	x.state = MAIL_QUEUED;
	x.next_attempt_at = (i64)(a->wall / 1000);
	rc = rc ? rc : admin_update(a, KIND_MAIL, &x, NULL);
	if (!rc)
		mail_look_again(a->portal);
	entity_deinit(KIND_MAIL, &x);
	return rc;
}

/* ---- audit --------------------------------------------------------------------------------------------------------------------------- */

static int show_audit(void *ctx, const struct store_audit *x)
{
	struct admin *a = ctx;
	char id[UUID_STRLEN], at[32];

	sheet_row(&a->sheet);
	sheet_put(&a->sheet, "at", admin_format_time(x->at, at));
	sheet_put(&a->sheet, "by", x->actor_email ? x->actor_email : x->actor_name ? x->actor_name : x->principal);
	sheet_put(&a->sheet, "op", x->op);
	sheet_put(&a->sheet, "kind", x->kind);
	sheet_put(&a->sheet, "name", x->name);
	sheet_put(&a->sheet, "id", uuid_format(&x->id, id));
	sheet_detail(&a->sheet);
	sheet_put(&a->sheet, "principal", x->principal);
	sheet_detail(&a->sheet);
	sheet_put(&a->sheet, "actor_id", uuid_is_null(&x->actor_id) ? NULL : uuid_format(&x->actor_id, id));
	sheet_detail(&a->sheet);
	sheet_put(&a->sheet, "remote_ip", x->remote_ip);
	sheet_detail(&a->sheet);
	sheet_put(&a->sheet, "user_agent", x->user_agent);
	sheet_detail(&a->sheet);
	sheet_put_json(&a->sheet, "old", x->old_json);
	sheet_detail(&a->sheet);
	sheet_put_json(&a->sheet, "new", x->new_json);
	sheet_detail(&a->sheet);
	sheet_put_int(&a->sheet, "seq", x->seq);
	sheet_detail(&a->sheet);
	return 0;
}

struct trail {
	struct admin *a;
	i64 last;
};

static int show_and_note(void *ctx, const struct store_audit *x)
{
	struct trail *t = ctx;

	t->last = x->seq;
	return show_audit(t->a, x);
}

static int read_query(struct admin *a, struct store_audit_query *q)
{
	const struct account *account;
	const char *from = admin_arg(a, "from"), *to = admin_arg(a, "to");
	int rc = admin_account(a, &account);

	if (rc)
		return rc;
	q->account = account->e.id;
	q->kind = admin_arg(a, "kind");
	q->op = admin_arg(a, "op");
	q->text = admin_arg(a, "text");
	rc = admin_set_id(a, KIND_ACTOR, account, "actor", &q->actor_id);
	if (!rc && from && admin_parse_time(from, a->wall, &q->from))
		rc = admin_fail(a, ERR_INVAL, "--from: '%s' is not a time such as 2027-01-31 or 2027-01-31T12:00:00Z", from);
	if (!rc && to && admin_parse_time(to, a->wall, &q->to))
		rc = admin_fail(a, ERR_INVAL, "--to: '%s' is not a time such as 2027-01-31 or 2027-01-31T12:00:00Z", to);
	return rc;
}

#define TRAIL_PART 50u

/* The newest `limit` of them. */
static int show_trail(struct admin *a, i64 limit)
{
	struct store_audit_query q = { .before = a->before };
	struct trail t = { .a = a };
	bool has_more = true;
	int rc = read_query(a, &q);

	while (!rc && has_more && a->step < limit && !a->is_to_go_on) {
		q.limit = (u32)MIN(limit - a->step, TRAIL_PART);
		rc = store_audit_page(a->portal->store, &q, show_and_note, &t, &has_more);
		if (rc)
			return admin_store_failed(a, rc);
		a->step += q.limit;
		a->before = q.before = t.last;
		a->is_to_go_on = has_more && admin_is_slice_over(a);
	}
	return rc;
}

int run_audit_list(struct admin *a)
{
	i64 limit = 50;
	int rc = admin_set_int(a, &limit, "limit", 1, AUDIT_LIMIT_MAX);

	return rc ? rc : show_trail(a, limit);
}

int run_audit_export(struct admin *a)
{
	return show_trail(a, INT64_MAX);
}
