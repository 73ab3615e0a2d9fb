#include "applets/portal/auth/signin.h"

#include "core/base/cursor.h"
#include "core/http/url.h"

#include <ctype.h>
#include <stdio.h>

/* ---- parameters ---------------------------------------------------------------------------------------------------------------------------- */

static bool is_printable(const char *s)
{
	for (; *s; s++)
		if ((u8)*s < 0x20 || (u8)*s == 0x7f)
			return false;
	return true;
}

static void keep(char *out, size_t cap, const char *value)
{
	size_t n = value ? strlen(value) : 0;

	out[0] = '\0';
	if (n > 0 && n < cap && is_printable(value))
		memcpy(out, value, n + 1);
}

static enum signin_context context_of(const char *as)
{
	if (strcmp(as, "client") == 0 || strcmp(as, "gui-client") == 0)
		return SIGNIN_GUI;
	return strcmp(as, "headless-client") == 0 ? SIGNIN_HEADLESS : SIGNIN_PORTAL;
}

static void fill(struct signin_params *out, const char *as, const char *state, const char *nonce, const char *redirect_to)
{
	memset(out, 0, sizeof(*out));
	keep(out->as, sizeof(out->as), as);
	out->context = context_of(out->as);
	if (out->context == SIGNIN_PORTAL)
		out->as[0] = '\0';
	keep(out->state, sizeof(out->state), state);
	keep(out->nonce, sizeof(out->nonce), nonce);
	if (strchr(out->nonce, '.'))
		out->nonce[0] = '\0';
	keep(out->redirect_to, sizeof(out->redirect_to), redirect_to);
}

static const char *given(struct exchange *x, const char *name)
{
	const char *value = exchange_query(x, name);

	return value || x->method == METHOD_GET ? value : exchange_form(x, name);
}

void signin_read(struct exchange *x, struct signin_params *out)
{
	fill(out, given(x, "as"), given(x, "state"), given(x, "nonce"), given(x, "redirect_to"));
}

void signin_query(const struct signin_params *p, char out[static SIGNIN_QUERY_MAX])
{
	const struct {
		const char *name, *value;
	} all[] = { { "as", p->as }, { "state", p->state }, { "nonce", p->nonce }, { "redirect_to", p->redirect_to } };
	struct wr w = wr_init(out, SIGNIN_QUERY_MAX - 1);
	bool is_first = true;

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i].value[0])
			form_append(&w, &is_first, all[i].name, SPAN(all[i].value, strlen(all[i].value)));
	*w.p = '\0';
}

void signin_parse(struct span query, struct signin_params *out)
{
	static const char *const names[] = { "as", "state", "nonce", "redirect_to" };
	char value[ARRAY_LEN(names)][SIGNIN_REDIRECT_MAX + 1];

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (form_get(query, names[i], value[i], sizeof(value[i])) != 0)
			value[i][0] = '\0';
	fill(out, value[0], value[1], value[2], value[3]);
}

/* ---- where to afterwards --------------------------------------------------------------------------------------------------------------------- */

/* "." and ".." as browsers read them: dots may be written %2e. */
static bool is_dot_segment(const char *p, size_t n)
{
	u32 dots = 0;

	for (size_t i = 0; i < n; i++, dots++) {
		if (p[i] == '.')
			continue;
		if (n - i < 3 || p[i] != '%' || p[i + 1] != '2' || (p[i + 2] != 'e' && p[i + 2] != 'E'))
			return false;
		i += 2;
	}
	return dots == 1 || dots == 2;
}

static bool is_plain_path(const char *path)
{
	const char *p = path;

	for (const char *c = path; *c; c++)
		if ((u8)*c <= 0x20 || (u8)*c >= 0x7f || *c == '\\' || *c == '#')
			return false;
	while (*p == '/') {
		size_t n = strcspn(++p, "/?");
		if (is_dot_segment(p, n) || (n == 0 && *p == '/'))
			return false;
		p += n;
	}
	return *p == '\0' || *p == '?';
}

static bool is_below(const char *path, const char *name)
{
	size_t n = strlen(name);

	return path[0] == '/' && strncmp(path + 1, name, n) == 0 && (path[1 + n] == '\0' || path[1 + n] == '/' || path[1 + n] == '?');
}

bool signin_may_redirect(const struct account *account, const char *path)
{
	char id[UUID_STRLEN];

	return path[0] == '/' && is_plain_path(path) && (is_below(path, account->slug) || is_below(path, uuid_format(&account->e.id, id)));
}

/* ---- who may ----------------------------------------------------------------------------------------------------------------------------------- */

static bool context_permits(int context, enum signin_context wanted)
{
	switch ((enum provider_context)context) {
	case CONTEXT_BOTH:
		return true;
	case CONTEXT_CLIENTS:
		return wanted != SIGNIN_PORTAL;
	case CONTEXT_PORTAL:
		return wanted == SIGNIN_PORTAL;
	}
	return false;
}

int signin_provider_check(struct exchange *x, const struct account *account, const struct uuid *provider_id, enum signin_context context,
			  const char **why)
{
	struct auth_provider p;
	int rc = store_get(x->portal->store, KIND_AUTH_PROVIDER, &account->e.id, provider_id, &p);

	*why = "This way to sign in does not exist any more.";
	if (rc)
		return rc == ERR_NOT_FOUND ? rc : ERR_DENIED;
	if (p.disabled_at) {
		*why = "This way to sign in is switched off. Choose another one.";
		rc = ERR_DENIED;
	} else if (!context_permits(p.context, context)) {
		*why = context == SIGNIN_PORTAL ? "This way to sign in is for clients only. Choose another one." :
						  "This way to sign in is for the admin pages only. Choose another one.";
		rc = ERR_DENIED;
	} else if (context != SIGNIN_PORTAL && account->disabled_at) {
		*why = "This account is disabled. Please ask your administrator.";
		rc = ERR_DENIED;
	} else if (context != SIGNIN_PORTAL && account->users_limit_exceeded) {
		*why = "This account has more people than its limit allows. Please ask your administrator.";
		rc = ERR_DENIED;
	}
	entity_deinit(KIND_AUTH_PROVIDER, &p);
	return rc;
}
