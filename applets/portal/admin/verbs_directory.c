/* directory, mail (spec 60 §8, §12) */
#include "applets/portal/admin/rights.h"
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
	entity_deinit(KIND_MAIL, &x);
	return rc;
}
