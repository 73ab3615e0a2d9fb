/* What most verbs do: read values into fields, find the target, save, show. */
#include "applets/portal/admin/rights.h"

#include "core/base/strbuf.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- values ------------------------------------------------------------------------------------------------------------------ */

int admin_set(struct admin *a, char **field, const char *option)
{
	const char *value = admin_arg(a, option);
	int rc = value ? text_set(field, value) : 0;

	return rc ? admin_store_failed(a, rc) : 0;
}

int admin_set_bool(struct admin *a, bool *field, const char *option)
{
	const char *value = admin_arg(a, option);

	if (!value)
		return 0;
	return options_bool(value, field) ? admin_fail(a, ERR_INVAL, "--%s: '%s' is neither on nor off", option, value) : 0;
}

static bool is_word(const char *name, const char *text)
{
	for (; *name && *text; name++, text++)
		if (*name != *text && !(*name == '_' && *text == '-'))
			return false;
	return !*name && !*text;
}

int admin_enum(const char *const *names, const char *text)
{
	for (int i = 0; names[i]; i++)
		if (is_word(names[i], text))
			return i;
	return ERR_NOT_FOUND;
}

int admin_set_enum(struct admin *a, int *field, const char *option, const char *const *names)
{
	const char *value = admin_arg(a, option);
	struct strbuf all = { .p = NULL };

	if (!value)
		return 0;
	if (admin_enum(names, value) >= 0) {
		*field = admin_enum(names, value);
		return 0;
	}
	for (int i = 0; names[i]; i++)
		strbuf_printf(&all, "%s%s", all.n ? ", " : "", names[i]);
	(void)admin_fail(a, ERR_INVAL, "--%s: '%s' is none of %s", option, value, strbuf_text(&all));
	strbuf_free(&all);
	return ERR_INVAL;
}

int admin_set_int(struct admin *a, i64 *field, const char *option, i64 min, i64 max)
{
	const char *value = admin_arg(a, option);
	char *end;

	if (!value)
		return 0;
	long long n = strtoll(value, &end, 10);
	if (!isdigit((unsigned char)value[0]) || *end || n < min || n > max)
		return admin_fail(a, ERR_INVAL, "--%s: must be a number from %lld to %lld", option, (long long)min, (long long)max);
	*field = n;
	return 0;
}

int admin_set_id(struct admin *a, enum kind k, const struct account *account, const char *option, struct uuid *out)
{
	const char *name = admin_arg(a, option);
	union any_entity row;
	const void *found;
	int rc;

	if (!name)
		return 0;
	if (directory_holds(k)) {
		rc = admin_find(a, k, account, name, &found);
		if (!rc)
			*out = ((const struct entity *)found)->id;
	} else {
		rc = admin_find_row(a, k, &account->e.id, name, &row);
		if (!rc) {
			*out = row.e.id;
			entity_deinit(k, &row);
		}
	}
	if (!rc)
		return 0;
	char why[sizeof(a->err)];
	memcpy(why, a->err, sizeof(why));
	return admin_fail(a, rc, "--%s: %.*s", option, (int)sizeof(why) - 40, why);
}

int admin_set_expiry(struct admin *a, i64 *out, u32 default_days, u32 max_days)
{
	const char *expires = admin_arg(a, "expires");
	i64 now = (i64)(a->wall / 1000);

	if (!expires || !*expires)
		*out = ((i64)(a->wall / NSEC_PER_SEC / 86400 + default_days + 1) * 86400 - 1) * 1000000; /* the end of that day */
	else if (admin_parse_time(expires, a->wall, out))
		return admin_fail(a, ERR_INVAL, "--expires: '%s' is neither a date (2027-01-31) nor a span (365d)", expires);
	if (*out <= now)
		return admin_fail(a, ERR_INVAL, "--expires: '%s' is over", expires);
	return max_days && *out - now > (i64)(max_days + 1) * 86400 * 1000000 ?
		       admin_fail(a, ERR_INVAL, "--expires: may be at most %u days ahead", max_days) :
		       0;
}

/* ---- limits (spec 60 §11) ---------------------------------------------------------------------------------------------------------- */

int admin_check_limit(struct admin *a, const struct account *account, enum admin_limit what)
{
	struct store_usage u;
	int rc;

	if (account->disabled_at)
		return admin_fail(a, ERR_DENIED, "The account is disabled");
	rc = store_usage(a->portal->store, &account->e.id, a->wall, &u);
	if (rc)
		return admin_store_failed(a, rc);
	const struct {
		const char *what;
		i64 limit, used;
	} all[] = {
		[LIMIT_USERS] = { "users", account->limit_users, u.users },
		[LIMIT_ADMINS] = { "admins", account->limit_admins, u.admins },
		[LIMIT_SERVICE_ACCOUNTS] = { "service accounts", account->limit_service_accounts, u.service_accounts },
		[LIMIT_API_CLIENTS] = { "API clients", account->limit_api_clients, u.api_clients },
		[LIMIT_SITES] = { "sites", account->limit_sites, u.sites },
		[LIMIT_ACTIVE_USERS] = { "monthly active users", account->limit_monthly_active_users, u.monthly_active_users },
	};
	if (what == LIMIT_USERS && account->limit_monthly_active_users >= 0)
		what = LIMIT_ACTIVE_USERS;
	return all[what].limit >= 0 && all[what].used >= all[what].limit ?
		       admin_fail(a, ERR_LIMIT, "The account's limit of %lld %s is reached", (long long)all[what].limit, all[what].what) :
		       0;
}

/* ---- the thing it is about ------------------------------------------------------------------------------------------------------ */

struct entity admin_new(struct admin *a, const struct account *account)
{
	return (struct entity){ .account_id = account->e.id, .id = admin_new_id(a) };
}

int admin_copy_target(struct admin *a, enum kind k, const struct account **account, void *out)
{
	const char *target = admin_arg(a, "target");
	const void *found;
	int rc = admin_account(a, account);

	if (rc)
		return rc;
	if (!target)
		return admin_fail(a, ERR_INVAL, "which %s?", a->noun->name);
	if (directory_holds(k)) {
		rc = admin_find(a, k, *account, target, &found);
		rc = rc ? rc : entity_copy(k, out, found);
	} else {
		rc = admin_find_row(a, k, &(*account)->e.id, target, out);
	}
	if (rc)
		return rc;
	rc = admin_check_unchanged(a, out);
	if (rc)
		entity_deinit(k, out);
	return rc;
}

int admin_show_single(struct admin *a, enum kind k, const void *entity, int rc)
{
	if (rc)
		return rc;
	a->sheet.is_single = true;
	admin_show(a, k, entity);
	return 0;
}

static int save(struct admin *a, enum kind k, void *x, const char *exists, int (*write)(struct store *s, enum kind k, void *x, u64 wall))
{
	int rc = admin_begin(a);

	if (rc)
		return rc;
	rc = write(a->portal->store, k, x, a->wall);
	if (rc == ERR_EXISTS && exists)
		(void)admin_fail(a, rc, "%s", exists);
	return admin_end(a, rc);
}

int admin_insert(struct admin *a, enum kind k, void *x, const char *exists)
{
	return admin_show_single(a, k, x, save(a, k, x, exists, store_insert));
}

int admin_update(struct admin *a, enum kind k, void *x, const char *exists)
{
	return admin_show_single(a, k, x, save(a, k, x, exists, store_update));
}
