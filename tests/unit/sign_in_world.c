#include "tests/unit/sign_in_world.h"
#include "core/base/encode.h"

#include <stdlib.h>

const char *html_between(const char *body, const char *before, const char *after)
{
	static char ring[8][4096];
	static u32 turn;
	char *out = ring[turn++ % 8], *o = out;
	const char *p = strstr(body, before), *end = p ? strstr(p + strlen(before), after) : NULL;

	out[0] = '\0';
	for (p = p ? p + strlen(before) : NULL; end && p < end && o < out + 4000;) {
		if (strncmp(p, "&amp;", 5) == 0 || strncmp(p, "&#38;", 5) == 0) {
			*o++ = '&';
			p += 5;
		} else {
			*o++ = *p++;
		}
	}
	*o = '\0';
	return out;
}

const char *action_of(const char *body, const char *suffix)
{
	for (const char *p = strstr(body, "action=\""); p; p = strstr(p + 8, "action=\"")) {
		const char *action = html_between(p, "action=\"", "\"");
		size_t n = strcspn(action, "?"), m = strlen(suffix);
		if (n >= m && strncmp(action + n - m, suffix, m) == 0)
			return action;
	}
	return "";
}

struct uuid id_of(struct http_world *w, const char *command, const char *member)
{
	struct uuid id = { 0 };
	const char *text = admin_value(w->portal, command, member);

	EXPECT_EQ(uuid_parse(SPAN(text, strlen(text)), &id), 0);
	return id;
}

struct http_world *sign_in_world(void)
{
	struct http_world *w = http_new();

	w->portal->portal.auth->has_passkeys = true;
	snprintf(w->portal->portal.auth->site.origin, sizeof(w->portal->portal.auth->site.origin), "https://portal.example");
	snprintf(w->portal->portal.auth->site.rp_id, sizeof(w->portal->portal.auth->site.rp_id), "portal.example");
	return w;
}

const char *link_for(struct http_world *w, const char *email, int purpose)
{
	static char path[LINK_TEXT_LEN + 32];
	char text[LINK_TEXT_LEN + 1], command[128];
	struct portal *p = &w->portal->portal;
	struct one_time_link row;

	entity_init(KIND_LINK, &row);
	row.e.account_id = id_of(w, "account show acme", "id");
	row.purpose = purpose;
	row.expires_at = (i64)((portal_wall + LINK_LIFETIME) / 1000);
	if (purpose != LINK_SETUP) {
		snprintf(command, sizeof(command), "actor show %s --account acme", email);
		row.actor_id = id_of(w, command, "id");
	}
	EXPECT_EQ(link_make(&row, p->rng, text), 0);
	EXPECT_EQ(store_begin(p->store, STORE_DURABLE), 0);
	EXPECT_EQ(store_insert(p->store, KIND_LINK, &row, portal_wall), 0);
	EXPECT_EQ(store_commit(p->store), 0);
	entity_deinit(KIND_LINK, &row);
	snprintf(path, sizeof(path), "/auth/link/%s", text);
	return path;
}

void read_secret(const char *body, u8 secret[static TOTP_SECRET_LEN])
{
	char text[64];
	const char *p = html_between(body, "<pre id=\"totp\">", "<");
	size_t n = 0;

	for (; *p; p++)
		if (*p != ' ' && *p != '\n')
			text[n++] = *p;
	EXPECT_EQ(base32_decode(secret, TOTP_SECRET_LEN, SPAN(text, n)), TOTP_SECRET_LEN);
}

const char *code_of(const u8 secret[static TOTP_SECRET_LEN])
{
	static char text[8];

	snprintf(text, sizeof(text), "%06u", (unsigned)totp_code(secret, portal_wall / SEC(TOTP_STEP_SECS)));
	return text;
}

void enrol(struct http_world *w, const char *email, u8 secret[static TOTP_SECRET_LEN], char recovery[static RECOVERY_STRLEN])
{
	const char *path = link_for(w, email, LINK_INVITE);
	char form[256], where[256];
	const struct reply *r = http_get(w, path);

	EXPECT_EQ(r->status, 200);
	read_secret(r->body, secret);
	snprintf(where, sizeof(where), "%s/password", path);
	snprintf(form, sizeof(form), "password=" SIGN_IN_PASSWORD "&again=" SIGN_IN_PASSWORD "&code=%s", code_of(secret));
	for (char *p = form; *p; p++)
		*p = *p == ' ' ? '+' : *p;
	r = http_post(w, where, form);
	EXPECT_EQ(r->status, 200);
	const char *first = html_between(r->body, "aria-label=\"Recovery codes\">", "<");
	snprintf(recovery, RECOVERY_STRLEN, "%.11s", first + strspn(first, "\n"));
	EXPECT(recovery[5] == '-');
	http_forget(w);
	http_wait(w, SEC(60));
}

const struct reply *type_password(struct http_world *w, const char *path, const char *email, const char *password)
{
	char form[512];
	const struct reply *r = http_get(w, path);
	EXPECT_EQ(r->status, 200);
	char action[4096] = "";
	for (const char *q = strstr(r->body, "action=\""); q; q = strstr(q + 8, "action=\"")) {
		const char *a = html_between(q, "action=\"", "\"");
		if (strstr(a, "/sign_in/userpass/") && !strstr(a, "/passkey"))
			snprintf(action, sizeof(action), "%s", a);
	}
	snprintf(form, sizeof(form), "userpass%%5Bidp_id%%5D=%s&userpass%%5Bsecret%%5D=%s", email, password);
	for (char *q = form; *q; q++)
		*q = *q == ' ' ? '+' : *q;
	return http_post(w, action, form);
}

const struct reply *give_code(struct http_world *w, const char *code)
{
	char where[4096], form[64];
	const struct reply *r;

	snprintf(where, sizeof(where), "%s", w->reply.location);
	r = http_get(w, where);
	EXPECT_EQ(r->status, 200);
	snprintf(form, sizeof(form), "code=%s", code);
	return http_post(w, where, form);
}

bool has_session(struct http_world *w)
{
	return http_get(w, "/acme/settings/security")->status == 200;
}

struct http_world *sign_in_world_with_user(u8 secret[static TOTP_SECRET_LEN])
{
	struct http_world *w = sign_in_world();
	char recovery[RECOVERY_STRLEN];

	EXPECT_EQ(admin(w->portal, "actor add --type user --name 'Ann & Co' --email ann@acme.example"), 0);
	enrol(w, "ann@acme.example", secret, recovery);
	return w;
}
