#define LOG_TARGET "portal::auth"

#include "applets/portal/auth/session.h"

#include "applets/portal/auth/auth.h"
#include "applets/portal/http/live.h"
#include "core/base/cursor.h"
#include "core/http/url.h"

#include <ctype.h>
#include <stdio.h>

#define COOKIE_NAME_LEN (5 + UUID_STRLEN)
#define RECENT "recent_accounts"
#define SLUG_MAX 100u

static void cookie_name(char out[static COOKIE_NAME_LEN], const struct account *a)
{
	char id[UUID_STRLEN];

	snprintf(out, COOKIE_NAME_LEN, "sess_%s", uuid_format(&a->e.id, id));
}

static i64 wall_us(const struct exchange *x)
{
	return (i64)(loop_wall(x->loop) / 1000);
}

const struct account *session_account(struct exchange *x, struct span slug_or_id)
{
	char text[SLUG_MAX + 1];

	if (slug_or_id.n == 0 || slug_or_id.n > SLUG_MAX)
		return NULL;
	for (size_t i = 0; i < slug_or_id.n; i++)
		text[i] = (char)tolower(slug_or_id.p[i]);
	text[slug_or_id.n] = '\0';
	return directory_account_named(hub_directory(x->portal->hub), text);
}

/* ---- who is it? ------------------------------------------------------------------------------------------------------------------------------- */

static bool provider_is_open(struct exchange *x, const struct account *account, const struct uuid *id)
{
	struct auth_provider p;

	if (uuid_is_null(id)) /* by a one-time link */
		return true;
	if (store_get(x->portal->store, KIND_AUTH_PROVIDER, &account->e.id, id, &p) != 0)
		return false;
	bool is_open = !p.disabled_at;
	entity_deinit(KIND_AUTH_PROVIDER, &p);
	return is_open;
}

static int cookie_id(const struct exchange *x, const struct account *account, struct uuid *id)
{
	char name[COOKIE_NAME_LEN];
	size_t n;

	cookie_name(name, account);
	return exchange_cookie(x, name, id->b, sizeof(id->b), &n) == 0 && n == sizeof(id->b) ? 0 : ERR_AUTH;
}

static void describe(struct exchange *x, const struct actor *actor, struct principal *who)
{
	snprintf(who->actor_name, sizeof(who->actor_name), "%s", actor->name);
	snprintf(who->actor_email, sizeof(who->actor_email), "%s", actor->email ? actor->email : "");
	who->remote_ip = x->remote_ip;
	memcpy(who->region, x->region, sizeof(who->region));
	memcpy(who->user_agent, x->user_agent, sizeof(who->user_agent));
}

int session_find(struct exchange *x, const struct account *account, struct principal *who)
{
	struct store *s = x->portal->store;
	struct portal_session row;
	struct uuid id;

	*who = (struct principal){ .kind = PRINCIPAL_SESSION };
	if (!account)
		return ERR_NOT_FOUND;
	if (cookie_id(x, account, &id) != 0 || store_get(s, KIND_PORTAL_SESSION, &account->e.id, &id, &row) != 0)
		return ERR_AUTH;
	const struct actor *actor = directory_get(hub_directory(x->portal->hub), KIND_ACTOR, &account->e.id, &row.actor_id);
	bool is_valid = row.expires_at > wall_us(x) && actor && !actor->disabled_at && actor->type == ACTOR_ADMIN &&
			provider_is_open(x, account, &row.auth_provider_id);
	who->account_id = account->e.id;
	who->actor_id = row.actor_id;
	who->session_id = id;
	who->provider_id = row.auth_provider_id;
	entity_deinit(KIND_PORTAL_SESSION, &row);
	if (!is_valid)
		return ERR_AUTH;
	describe(x, actor, who);
	if (store_touch(s, KIND_PORTAL_SESSION, &account->e.id, &id, loop_wall(x->loop), NULL) != 0)
		return 0; /* when it was last seen is not worth refusing anybody */
	return 0;
}

/* The script asks in the background; a person navigates. */
static bool is_navigation(const struct exchange *x)
{
	struct span mode = http_field(x->head, "sec-fetch-mode");

	return x->method == METHOD_GET && (!mode.p || span_eq_nocase(mode, "navigate"));
}

bool session_required(struct exchange *x, const struct account **account, struct principal *who)
{
	char back[SLUG_MAX + 3 * URL_MAX];
	struct wr w = wr_init(back, sizeof(back) - 1);
	bool is_first = true;

	*account = session_account(x, x->param[0]);
	int rc = session_find(x, *account, who);
	if (rc == 0)
		return true;
	if (rc == ERR_NOT_FOUND) {
		exchange_problem(x, 404, "There is no such network here.");
	} else if (is_navigation(x)) {
		char here[URL_MAX];
		int n = snprintf(here, sizeof(here), "%.*s%s%.*s", (int)MIN(x->path.n, URL_MAX), (const char *)x->path.p, x->query.n ? "?" : "",
				 (int)MIN(x->query.n, URL_MAX), (const char *)x->query.p);
		if (n < (int)sizeof(here))
			form_append(&w, &is_first, "redirect_to", SPAN(here, (size_t)n));
		*w.p = '\0';
		exchange_redirect(x, "/%s%s%s", (*account)->slug, back[0] ? "?" : "", back);
	} else {
		exchange_problem(x, 401, "You are not signed in any more. Sign in and try again.");
	}
	return false;
}

/* ---- beginning and end --------------------------------------------------------------------------------------------------------------------------- */

static int insert(struct exchange *x, const struct principal *who, u64 lifetime_secs)
{
	struct portal_session row;
	char ip[IP_STRLEN], place[PLACE_STRLEN];

	entity_init(KIND_PORTAL_SESSION, &row);
	row.e.account_id = who->account_id;
	row.e.id = who->session_id;
	row.actor_id = who->actor_id;
	row.auth_provider_id = who->provider_id;
	row.expires_at = wall_us(x) + (i64)(lifetime_secs * 1000000);
	int rc = text_set(&row.user_agent, x->user_agent);
	rc = rc ? rc : text_set(&row.remote_ip, x->remote_ip.family ? ip_format(&x->remote_ip, ip) : NULL);
	rc = rc ? rc : text_set(&row.region, x->region[0] ? x->region : NULL);
	rc = rc ? rc : text_set(&row.city, x->city[0] ? x->city : NULL);
	rc = rc ? rc : text_set(&row.coordinates, x->place.is_known ? place_format(&x->place, place) : NULL);
	rc = rc ? rc : store_insert(x->portal->store, KIND_PORTAL_SESSION, &row, loop_wall(x->loop));
	entity_deinit(KIND_PORTAL_SESSION, &row);
	return rc;
}

int session_create(struct exchange *x, const struct account *account, const struct actor *actor, const struct uuid *provider_id,
		   u64 lifetime_secs)
{
	struct principal who = { .kind = PRINCIPAL_SESSION, .account_id = account->e.id, .actor_id = actor->e.id };
	struct uuid before;
	char name[COOKIE_NAME_LEN];
	bool has_before = cookie_id(x, account, &before) == 0;

	who.session_id = uuid_random(x->portal->rng);
	who.provider_id = provider_id ? *provider_id : (struct uuid){ 0 };
	describe(x, actor, &who);
	int rc = auth_begin(x, &who);
	if (rc)
		return rc;
	if (has_before) {
		rc = store_delete(x->portal->store, KIND_PORTAL_SESSION, &account->e.id, &before);
		rc = rc == ERR_NOT_FOUND ? 0 : rc;
	}
	rc = rc ? rc : insert(x, &who, lifetime_secs);
	rc = auth_end(x, rc);
	if (rc)
		return rc;
	if (has_before)
		live_close_session(x->portal, &before);
	cookie_name(name, account);
	exchange_set_cookie(x, name, SPAN(who.session_id.b, sizeof(who.session_id.b)), lifetime_secs);
	exchange_csrf_renew(x);
	session_remember(x, account);
	return 0;
}

void session_end(struct exchange *x, const struct account *account)
{
	char name[COOKIE_NAME_LEN];
	struct principal who;
	struct uuid id;

	cookie_name(name, account);
	exchange_drop_cookie(x, name);
	exchange_csrf_renew(x);
	if (cookie_id(x, account, &id) != 0)
		return;
	int rc = session_find(x, account, &who);
	rc = auth_begin(x, rc == 0 ? &who : NULL);
	if (rc == 0) {
		rc = store_delete(x->portal->store, KIND_PORTAL_SESSION, &account->e.id, &id);
		rc = auth_end(x, rc == ERR_NOT_FOUND ? 0 : rc);
	}
	if (rc == 0)
		live_close_session(x->portal, &id);
}

/* ---- accounts used before ------------------------------------------------------------------------------------------------------------------------------ */

u32 session_recent(struct exchange *x, const struct account *out[static RECENT_ACCOUNTS_MAX])
{
	struct uuid id[RECENT_ACCOUNTS_MAX];
	size_t n = 0;
	u32 found = 0;

	if (exchange_cookie(x, RECENT, id[0].b, sizeof(id), &n) != 0)
		return 0;
	for (size_t i = 0; i < n / sizeof(id[0]); i++) {
		out[found] = directory_account(hub_directory(x->portal->hub), &id[i]);
		found += out[found] != NULL;
	}
	return found;
}

void session_remember(struct exchange *x, const struct account *account)
{
	const struct account *known[RECENT_ACCOUNTS_MAX];
	struct uuid id[RECENT_ACCOUNTS_MAX] = { account->e.id };
	u32 n = session_recent(x, known), kept = 1;

	for (u32 i = 0; i < n && kept < RECENT_ACCOUNTS_MAX; i++)
		if (known[i] != account)
			id[kept++] = known[i]->e.id;
	exchange_set_cookie(x, RECENT, SPAN(id, kept * sizeof(id[0])), RECENT_ACCOUNTS_SECS);
}
