#include "applets/portal/auth/pages.h"

#include "applets/portal/model/idna.h"
#include "core/base/cursor.h"
#include "core/base/encode.h"

#include <stdio.h>
#include <strings.h>

#define PASSKEY_COOKIE "passkey"

const char *pages_vtext(struct exchange *x, const char *fmt, va_list ap)
{
	va_list again;
	char *to = NULL;

	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	if (n >= 0)
		to = exchange_alloc(x, (size_t)n + 1);
	if (to)
		vsnprintf(to, (size_t)n + 1, fmt, again);
	va_end(again);
	return to ? to : "";
}

const char *pages_text(struct exchange *x, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	const char *text = pages_vtext(x, fmt, ap);
	va_end(ap);
	return text;
}

struct page pages_frame(struct exchange *x, const struct account *account, const char *title, const char *lead)
{
	struct page p;

	page_init(&p, x, title);
	p.account_name = account ? account->name : NULL;
	p.account_slug = account ? account->slug : NULL;
	p.base = account ? pages_text(x, "/%s", account->slug) : NULL;
	p.lead = lead;
	return p;
}

void pages_send(struct exchange *x, u16 status)
{
	if (!strbuf_ok(&x->out)) {
		exchange_problem(x, 503, NULL);
		return;
	}
	exchange_status(x, status);
	exchange_send(x);
}

/* ---- steps ------------------------------------------------------------------------------------------------------------------------------------ */

static int provider_of(struct exchange *x, const struct account *account, struct span text, int type, struct uuid *id)
{
	struct auth_provider p;

	if (uuid_parse(text, id) != 0 || store_get(x->portal->store, KIND_AUTH_PROVIDER, &account->e.id, id, &p) != 0)
		return ERR_NOT_FOUND;
	int rc = p.type == type ? 0 : ERR_NOT_FOUND;
	entity_deinit(KIND_AUTH_PROVIDER, &p);
	return rc;
}

bool pages_step(struct exchange *x, int provider_type, struct step *out)
{
	char query[SIGNIN_QUERY_MAX];
	const char *why = "This way to sign in does not exist any more.";

	*out = (struct step){ .x = x, .account = session_account(x, x->param[0]), .query = "" };
	if (!out->account) {
		exchange_problem(x, 404, "There is no such network here. Check the address, or ask who gave it to you.");
		return false;
	}
	out->account_id = out->account->e.id;
	signin_read(x, &out->params);
	signin_query(&out->params, query);
	if (query[0])
		out->query = pages_text(x, "?%s", query);
	if (provider_type < 0)
		return true;
	int rc = provider_of(x, out->account, x->param[1], provider_type, &out->provider_id);
	rc = rc ? rc : signin_provider_check(x, out->account, &out->provider_id, out->params.context, &why);
	if (rc == 0)
		return true;
	signin_refuse(x, out->account, &out->params, why);
	return false;
}

bool pages_resume(struct step *s)
{
	s->account = directory_account(hub_directory(s->x->portal->hub), &s->account_id);
	if (!s->account)
		exchange_problem(s->x, 404, NULL);
	return s->account != NULL;
}

const char *pages_path(const struct step *s, const char *path)
{
	return pages_text(s->x, "/%s%s%s", s->account->slug, path, s->query);
}

void pages_back(const struct step *s, const char *path, const char *why)
{
	exchange_flash(s->x, FLASH_ERROR, "%s", why);
	exchange_redirect(s->x, "%s", pages_path(s, path));
}

const char *pages_email(struct exchange *x, const char *typed)
{
	char *normal = exchange_alloc(x, EMAIL_MAX + 1);

	return typed && normal && email_normalise(typed, normal) == 0 ? normal : typed ? typed : "";
}

const struct actor *pages_actor(struct exchange *x, const struct account *account, const char *email)
{
	u32 n;
	void *const *all = directory_all(hub_directory(x->portal->hub), KIND_ACTOR, &account->e.id, &n);

	for (u32 i = 0; i < n; i++) {
		const struct actor *a = all[i];
		if (a->email && strcasecmp(a->email, email) == 0)
			return a;
	}
	return NULL;
}

/* ---- passkeys ------------------------------------------------------------------------------------------------------------------------------------ */

const u8 *pages_challenge(struct exchange *x, char purpose)
{
	u8 *content = x->portal->auth->has_passkeys ? exchange_alloc(x, 1 + WEBAUTHN_CHALLENGE_LEN) : NULL;

	if (!content)
		return NULL;
	content[0] = (u8)purpose;
	rng_fill(x->portal->rng, content + 1, WEBAUTHN_CHALLENGE_LEN);
	exchange_set_cookie(x, PASSKEY_COOKIE, SPAN(content, 1 + WEBAUTHN_CHALLENGE_LEN), WEBAUTHN_CHALLENGE_SECS);
	return content + 1;
}

int pages_take_challenge(struct exchange *x, char purpose, u8 out[static WEBAUTHN_CHALLENGE_LEN])
{
	struct lru *used = &x->portal->auth->challenges;
	u8 content[1 + WEBAUTHN_CHALLENGE_LEN];
	static const u8 yes = 1;
	size_t n;

	if (exchange_cookie(x, PASSKEY_COOKIE, content, sizeof(content), &n) != 0 || n != sizeof(content) || content[0] != (u8)purpose)
		return ERR_EXPIRED;
	exchange_drop_cookie(x, PASSKEY_COOKIE);
	if (lru_get(used, content + 1))
		return ERR_REPLAY;
	lru_put(used, content + 1, &yes);
	memcpy(out, content + 1, WEBAUTHN_CHALLENGE_LEN);
	return 0;
}

int pages_field_bytes(struct exchange *x, const char *name, size_t cap, struct span *out)
{
	const char *text = exchange_form(x, name);
	u8 *bytes = text ? exchange_alloc(x, cap) : NULL;
	int n = bytes ? base64url_decode(bytes, cap, SPAN(text, strlen(text))) : ERR_MALFORMED;

	*out = n >= 0 ? SPAN(bytes, (size_t)n) : SPAN_NONE;
	return n >= 0 ? 0 : ERR_MALFORMED;
}
