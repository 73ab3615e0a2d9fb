/* How signing in ends (spec 60 §3.8): a session, a deep link, a token to copy; or not at all. */
#define LOG_TARGET "portal::auth"

#include "applets/portal/auth/pages.h"
#include "applets/portal/auth/routes.h"
#include "applets/portal/web/templates.h"
#include "core/base/cursor.h"
#include "core/base/log.h"
#include "core/http/url.h"

#include <sodium.h>
#include <stdio.h>

#define CLIENT_COOKIE "client_auth"
#define CLIENT_COOKIE_SECS 120u
#define LINK_PARTS 5u /* of the cookie, NUL terminated: account id, actor_name, fragment, identity_provider_identifier, state */

void signin_refuse(struct exchange *x, const struct account *account, const struct signin_params *params, const char *why)
{
	char query[SIGNIN_QUERY_MAX];

	signin_query(params, query);
	exchange_flash(x, FLASH_ERROR, "%s", why);
	exchange_redirect(x, "/%s%s%s%s", account->slug, params->context == SIGNIN_PORTAL ? "" : "/sign_in/client_auth_error", query[0] ? "?" : "",
			  query);
}

/* ---- portal -------------------------------------------------------------------------------------------------------------------------------- */

struct finish {
	struct exchange *x;
	const struct account *account;
	const struct actor *actor;
	const struct auth_provider *provider;
	const char *identity;
	const struct signin_params *params;
};

static void unavailable(struct exchange *x)
{
	exchange_problem(x, 503, "The portal cannot write to its disk right now. Try again in a minute.");
}

static void finish_portal(const struct finish *f)
{
	int rc = session_create(f->x, f->account, f->actor, &f->provider->e.id, (u64)f->provider->portal_session_lifetime_secs);

	if (rc)
		unavailable(f->x);
	else if (signin_may_redirect(f->account, f->params->redirect_to))
		exchange_redirect(f->x, "%s", f->params->redirect_to);
	else
		exchange_redirect(f->x, "/%s/sites", f->account->slug);
}

/* ---- clients ------------------------------------------------------------------------------------------------------------------------------- */

static int make_token(const struct finish *f, const char *nonce, char text[static TOKEN_STRLEN], i64 *expires_at)
{
	struct portal *p = f->x->portal;
	struct principal who = { .kind = PRINCIPAL_SESSION,
				 .account_id = f->account->e.id,
				 .actor_id = f->actor->e.id,
				 .provider_id = f->provider->e.id,
				 .remote_ip = f->x->remote_ip };
	struct token row;

	snprintf(who.actor_name, sizeof(who.actor_name), "%s", f->actor->name);
	snprintf(who.actor_email, sizeof(who.actor_email), "%s", f->actor->email ? f->actor->email : "");
	snprintf(who.user_agent, sizeof(who.user_agent), "%s", f->x->user_agent);
	entity_init(KIND_CLIENT_TOKEN, &row);
	row.e.account_id = f->account->e.id;
	row.owner_id = f->actor->e.id;
	row.auth_provider_id = f->provider->e.id;
	row.expires_at = *expires_at = (i64)(loop_wall(f->x->loop) / 1000) + f->provider->client_session_lifetime_secs * 1000000;
	int rc = token_mint(&row, TOKEN_CLIENT, nonce, &p->secrets, p->rng, text);
	rc = rc ? rc : auth_begin(f->x, &who);
	if (rc == 0)
		rc = auth_end(f->x, store_insert(p->store, KIND_CLIENT_TOKEN, &row, loop_wall(f->x->loop)));
	entity_deinit(KIND_CLIENT_TOKEN, &row);
	return rc;
}

/* Cut at a character's begin, so that it fits the cookie. */
static void put_cut(struct wr *w, const char *text, size_t max)
{
	size_t n = strlen(text);

	if (n > max)
		for (n = max; n > 0 && ((u8)text[n] & 0xc0) == 0x80; n--)
			;
	wr_bytes(w, text, n);
	wr_u8(w, 0);
}

static void finish_gui(const struct finish *f)
{
	u8 content[EXCHANGE_COOKIE_MAX];
	struct wr w = wr_init(content, sizeof(content));
	char text[TOKEN_STRLEN], query[SIGNIN_QUERY_MAX], id[UUID_STRLEN];
	i64 expires_at;

	if (make_token(f, f->params->nonce, text, &expires_at) != 0) {
		unavailable(f->x);
		return;
	}
	put_cut(&w, uuid_format(&f->account->e.id, id), UUID_STRLEN);
	put_cut(&w, f->actor->name, 512);
	put_cut(&w, text + strlen(f->params->nonce), TOKEN_STRLEN);
	put_cut(&w, f->identity, 512);
	put_cut(&w, f->params->state, SIGNIN_STATE_MAX);
	exchange_set_cookie(f->x, CLIENT_COOKIE, wr_span(&w), CLIENT_COOKIE_SECS);
	sodium_memzero(text, sizeof(text));
	sodium_memzero(content, sizeof(content));
	session_remember(f->x, f->account);

	signin_query(f->params, query);
	const char *next = pages_text(f->x, "/%s/sign_in/client_redirect%s%s", f->account->slug, query[0] ? "?" : "", query);
	struct page page = pages_frame(f->x, f->account, "You are signed in", "Your client opens now.");
	exchange_header(f->x, "Refresh", "0; url=%s", next);
	template_signin_to_client(&f->x->out, &page, next);
	pages_send(f->x, 200);
}

static void finish_headless(const struct finish *f)
{
	char text[TOKEN_STRLEN];
	i64 expires_at;

	if (make_token(f, "", text, &expires_at) != 0) {
		unavailable(f->x);
		return;
	}
	session_remember(f->x, f->account);
	struct page page = pages_frame(f->x, f->account, "You are signed in", "Copy this token to your client.");
	struct token_view v = { f->account->name, f->account->slug, f->actor->name, text, f->account->e.id, expires_at };
	template_signin_token(&f->x->out, &page, &v);
	sodium_memzero(text, sizeof(text));
	pages_send(f->x, 200);
}

void signin_complete(struct exchange *x, const struct account *account, const struct uuid *actor_id, const struct uuid *provider_id,
		     const char *identity, const struct signin_params *params)
{
	struct auth_provider provider;
	const char *why;

	if (signin_provider_check(x, account, provider_id, params->context, &why) != 0) {
		signin_refuse(x, account, params, why);
		return;
	}
	const struct actor *actor = directory_get(hub_directory(x->portal->hub), KIND_ACTOR, &account->e.id, actor_id);
	if (!actor || actor->disabled_at) {
		signin_refuse(x, account, params, "You may not sign in here any more. Please ask your administrator.");
		return;
	}
	if (actor->type != ACTOR_ADMIN && !(params->context != SIGNIN_PORTAL && actor->type == ACTOR_USER)) {
		signin_refuse(x, account, params, "These pages are for administrators. To use the network, sign in from your client.");
		return;
	}
	if (store_get(x->portal->store, KIND_AUTH_PROVIDER, &account->e.id, provider_id, &provider) != 0) {
		unavailable(x);
		return;
	}
	const struct finish f = { x, account, actor, &provider, identity ? identity : actor->email ? actor->email : "", params };
	log_info("signed in", kv_s("account", account->slug), kv_s("provider", provider.name),
		 kv_s("as", params->context == SIGNIN_PORTAL ? "portal" : params->as));
	switch (params->context) {
	case SIGNIN_PORTAL:
		finish_portal(&f);
		break;
	case SIGNIN_GUI:
		finish_gui(&f);
		break;
	case SIGNIN_HEADLESS:
		finish_headless(&f);
		break;
	}
	entity_deinit(KIND_AUTH_PROVIDER, &provider);
}

/* ---- the deep link ---------------------------------------------------------------------------------------------------------------------------- */

static bool split(u8 *content, size_t n, const char *part[static LINK_PARTS])
{
	for (u32 i = 0; i < LINK_PARTS; i++) {
		u8 *end = memchr(content, 0, n);
		if (!end)
			return false;
		part[i] = (const char *)content;
		n -= (size_t)(end + 1 - content);
		content = end + 1;
	}
	return n == 0;
}

/* Apple's client decodes the name twice and gives the sign-in up over a '%' that stands alone then: U+FF05 looks the same (spec 60 §3.8). */
static const char *name_for_apple(struct exchange *x, const char *name)
{
	size_t n = strlen(name), at = 0;
	char *out = exchange_alloc(x, 3 * n + 1);

	if (!out)
		return "";
	for (size_t i = 0; i < n; i++)
		if (name[i] == '%') {
			memcpy(out + at, "\xef\xbc\x85", 3);
			at += 3;
		} else {
			out[at++] = name[i];
		}
	out[at] = '\0';
	return out;
}

/* GET /:account/sign_in/client_redirect: 302 to the client, also when the page is loaded again. */
void page_client_redirect(struct exchange *x)
{
	u8 content[EXCHANGE_COOKIE_MAX];
	char link[4 * EXCHANGE_COOKIE_MAX];
	struct wr w = wr_init(link, sizeof(link) - 1);
	const char *part[LINK_PARTS];
	char id[UUID_STRLEN];
	struct step s;
	bool is_first = true;
	size_t n;

	if (!pages_step(x, -1, &s))
		return;
	if (exchange_cookie(x, CLIENT_COOKIE, content, sizeof(content), &n) != 0 || !split(content, n, part) ||
	    strcmp(part[0], uuid_format(&s.account_id, id)) != 0) {
		pages_back(&s, "/sign_in/client_auth_error", "This took too long, or your browser keeps no cookies.");
		return;
	}
	const struct {
		const char *name, *value;
	} query[] = {
		{ "account_name", s.account->name },	   { "account_slug", s.account->slug }, { "actor_name", name_for_apple(x, part[1]) }, { "fragment", part[2] },
		{ "identity_provider_identifier", part[3] }, { "state", part[4] },
	};
	wr_str(&w, SIGNIN_DEEP_LINK "?");
	for (size_t i = 0; i < ARRAY_LEN(query); i++)
		form_append(&w, &is_first, query[i].name, SPAN(query[i].value, strlen(query[i].value)));
	*w.p = '\0';
	exchange_status(x, 302);
	exchange_header(x, "Location", "%s", link);
	sodium_memzero(content, sizeof(content));
	sodium_memzero(link, sizeof(link));
	exchange_send(x);
}

/* GET /:account/sign_in/client_auth_error */
void page_client_auth_error(struct exchange *x)
{
	struct step s;

	if (!pages_step(x, -1, &s))
		return;
	struct page page = pages_frame(x, s.account, "Your client was not signed in", NULL);
	template_signin_failed(&x->out, &page, pages_path(&s, ""));
	pages_send(x, 200);
}
