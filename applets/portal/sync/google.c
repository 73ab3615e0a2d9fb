/* Google Workspace: a service account with domain-wide delegation reads the Admin SDK's Directory API (spec 60 §8).
 *
 *   users of the domain ──▶ groups (all or filtered), org units ──▶ members of each; groups found inside are read too
 */
#include "applets/portal/sync/pull.h"

#include "applets/portal/auth/jose_sign.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SCOPE(s) "https://www.googleapis.com/auth/admin.directory." s ".readonly"
#define SCOPES SCOPE("customer") " " SCOPE("orgunit") " " SCOPE("group") " " SCOPE("user")
#define GRANT "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
#define API "/admin/directory/v1"
#define EMAIL_PREFIX "firezone-sync"
#define NAME_PREFIX "[firezone-sync]"

/* Of one go, so that others are served between: some 1 ms on one core of a small server. */
#define GROUPS_ASKED 100u
#define USERS_LOOKED_AT 5000u
#define PAIRS_FLATTENED 3000u

enum { ASK_USERS, ASK_GROUPS, READ_ALL, FLATTEN };

/* The key file of the service account: the directory's own, else the portal's. */
static bool load_key(struct pull *p)
{
	const char *text = p->dir.service_account_key ? p->dir.service_account_key : p->cfg->google_service_account_key;
	struct cJSON *root = NULL;
	const char *pem = NULL, *email = NULL;

	if (p->key)
		return true;
	if (text && json_parse(SPAN(text, strlen(text)), NULL, &root) == 0) {
		pem = pull_str(root, "private_key");
		email = pull_str(root, "client_email");
	}
	bool ok = pem && email && jose_key_from_pem(SPAN(pem, strlen(pem)), &p->key) == 0 && text_set(&p->client_email, email) == 0;
	json_free(root);
	if (!ok)
		pull_fail(p, PULL_REFUSED, "Google: %s", text ? "the service account's key cannot be read" : "no service account's key is configured");
	return ok;
}

static void authorize(struct pull *p)
{
	struct json_out claims = JSON_OUT;
	struct strbuf body = { 0 };
	u64 now = loop_wall(p->cfg->loop) / NSEC_PER_SEC;
	struct fetch_request rq = { .url = p->cfg->google_token_url, .is_post = true, .done = pull_on_token, .ctx = p };

	if (!load_key(p))
		return;
	json_open(&claims, NULL);
	json_put_str(&claims, "iss", p->client_email);
	json_put_str(&claims, "sub", p->dir.impersonation_email);
	json_put_str(&claims, "scope", SCOPES);
	json_put_str(&claims, "aud", p->cfg->google_token_url);
	json_put_u64(&claims, "iat", now);
	json_put_u64(&claims, "exp", now + 3600);
	json_close(&claims);
	strbuf_puts(&body, "grant_type=" GRANT "&assertion=");
	int rc = json_ok(&claims) ? jws_sign(p->key, SPAN_STR("{\"typ\":\"JWT\"}"), json_text(&claims), &body) : ERR_NOMEM;
	rq.body = strbuf_span(&body);
	rc = rc ? rc : fetch_start(p->cfg->fetcher, &rq, &p->token_fetch);
	json_out_free(&claims);
	strbuf_free(&body);
	if (rc)
		pull_fail(p, PULL_DISTURBED, "Google: signing in: %s", err_str(rc));
}

static void headers(struct pull *p, const char *url, struct fetch_request *rq)
{
	(void)url;
	rq->header[0].name = "Authorization";
	rq->header[0].value = pull_text(p, 0, "Bearer %s", p->token);
}

/* The same page once more, with the token of the next. */
static void ask_next(struct pull *p, const struct pull_get *g, const struct cJSON *root, const char *base)
{
	const char *token = pull_str(root, "nextPageToken");

	if (token && *token && !p->is_probe)
		pull_get(p, g->page, g->group, (enum get_lack)g->lack, "%s&pageToken=%s", base, pull_encoded(p, 1, token));
}

/* Without the pageToken that it may have. */
static const char *base_of(struct pull *p, const struct pull_get *g)
{
	const char *at = strstr(g->url, "&pageToken=");

	return pull_text(p, 2, "%.*s", (int)(at ? at - g->url : (long)strlen(g->url)), g->url);
}

static bool is_true(const struct cJSON *o, const char *name)
{
	struct json_get g = JSON_GET;
	const struct cJSON *v = json_member(&g, o, name);

	return v && json_is_true(v);
}

static int on_users(struct pull *p, const struct pull_get *g, const struct cJSON *root, const struct http_head *head)
{
	struct json_get get = JSON_GET;
	const struct cJSON *users = json_array_opt(&get, root, "users");

	(void)head;
	json_each(u, users) {
		const struct cJSON *name = json_object_opt(&get, u, "name");
		if (get.err)
			return get.err;
		if (is_true(u, "suspended") || is_true(u, "archived"))
			continue;
		int i = snapshot_user(&p->snap, pull_str(u, "id"), pull_str(u, "primaryEmail"), pull_str(name, "fullName"), pull_str(name, "givenName"),
				      pull_str(name, "familyName"));
		int rc = i < 0 ? i : text_set(&p->snap.users[i].path, pull_str(u, "orgUnitPath"));
		if (rc)
			return rc;
	}
	ask_next(p, g, root, base_of(p, g));
	return get.err;
}

static int on_members(struct pull *p, const struct pull_get *g, const struct cJSON *root, const struct http_head *head);

static void ask_members(struct pull *p, u32 group, enum get_lack lack)
{
	pull_get(p, on_members, group, lack, "%s" API "/groups/%s/members?maxResults=200", p->cfg->google_api_url,
		 pull_encoded(p, 1, p->snap.groups[group].idp_id));
}

/* A group found inside another: its name is asked for, then its members. */
static int on_inner(struct pull *p, const struct pull_get *g, const struct cJSON *root, const struct http_head *head)
{
	u32 before = p->snap.n_groups;

	(void)head;
	int i = snapshot_group(&p->snap, pull_str(root, "id"), pull_str(root, "name"), pull_str(root, "email"), ENTITY_GROUP);
	if (i < 0)
		return i;
	if (p->snap.n_groups > before)
		ask_members(p, (u32)i, GET_MAY_LACK);
	return snapshot_nest(&p->snap, g->group, (u32)i);
}

static int add_everybody(struct pull *p, u32 group)
{
	int rc = 0;

	for (u32 i = 0; i < p->snap.n_users && !rc; i++)
		rc = snapshot_member(&p->snap, group, i);
	return rc;
}

static int on_members(struct pull *p, const struct pull_get *g, const struct cJSON *root, const struct http_head *head)
{
	struct json_get get = JSON_GET;
	const struct cJSON *members = json_array_opt(&get, root, "members");
	int rc = get.err;

	(void)head;
	json_each(m, rc ? NULL : members) {
		const char *type = pull_str(m, "type"), *id = pull_str(m, "id");
		if (!type || !id)
			return ERR_MALFORMED;
		int known = strcmp(type, "GROUP") == 0 ? snapshot_find_group(&p->snap, id) : snapshot_find_user(&p->snap, id);
		if (strcmp(type, "USER") == 0 && known >= 0) /* others are suspended, or of another domain */
			rc = snapshot_member(&p->snap, g->group, (u32)known);
		else if (strcmp(type, "CUSTOMER") == 0)
			rc = add_everybody(p, g->group);
		else if (strcmp(type, "GROUP") == 0 && known >= 0)
			rc = snapshot_nest(&p->snap, g->group, (u32)known);
		else if (strcmp(type, "GROUP") == 0)
			pull_get(p, on_inner, g->group, GET_MAY_LACK, "%s" API "/groups/%s", p->cfg->google_api_url, pull_encoded(p, 1, id));
		if (rc)
			return rc;
	}
	ask_next(p, g, root, base_of(p, g));
	return 0;
}

static bool is_chosen(const struct pull *p, const char *name, const char *email)
{
	return p->dir.group_sync_mode == SYNC_ALL || (email && strncasecmp(email, EMAIL_PREFIX, strlen(EMAIL_PREFIX)) == 0) ||
	       (name && strncasecmp(name, NAME_PREFIX, strlen(NAME_PREFIX)) == 0);
}

static int on_groups(struct pull *p, const struct pull_get *g, const struct cJSON *root, const struct http_head *head)
{
	struct json_get get = JSON_GET;
	const struct cJSON *groups = json_array_opt(&get, root, "groups");

	(void)head;
	json_each(v, groups) {
		const char *name = pull_str(v, "name"), *email = pull_str(v, "email");
		int i = is_chosen(p, name, email) ? snapshot_group(&p->snap, pull_str(v, "id"), name, email, ENTITY_GROUP) : ERR_NOT_FOUND;
		if (i < 0 && i != ERR_NOT_FOUND)
			return i;
	}
	ask_next(p, g, root, base_of(p, g));
	return get.err;
}

static int on_org_units(struct pull *p, const struct pull_get *g, const struct cJSON *root, const struct http_head *head)
{
	struct json_get get = JSON_GET;
	const struct cJSON *units = json_array_opt(&get, root, "organizationUnits");

	(void)g, (void)head;
	json_each(u, units) {
		int i = snapshot_group(&p->snap, pull_str(u, "orgUnitId"), pull_str(u, "name"), NULL, ENTITY_ORG_UNIT);
		int rc = i < 0 ? i : text_set(&p->snap.groups[i].path, pull_str(u, "orgUnitPath"));
		if (rc)
			return rc;
	}
	return get.err;
}

/* An org unit holds whoever is in it or in those below it. 1: not all users were looked at. */
static int fill_org_unit(struct pull *p, u32 group, u32 *left)
{
	const char *path = p->snap.groups[group].path;
	size_t n = path ? strlen(path) : 0;
	int rc = 0;

	for (; p->user_at < p->snap.n_users && n > 0 && !rc && *left > 0; p->user_at++, --*left) {
		const char *of = p->snap.users[p->user_at].path;
		if (of && strncmp(of, path, n) == 0 && (of[n] == '\0' || of[n] == '/' || n == 1))
			rc = snapshot_member(&p->snap, group, p->user_at);
	}
	if (rc)
		return rc;
	if (n > 0 && p->user_at < p->snap.n_users)
		return 1;
	p->user_at = 0;
	return 0;
}

static void ask_groups(struct pull *p)
{
	const char *domain = pull_encoded(p, 1, p->dir.domain ? p->dir.domain : "");
	u32 per_page = p->is_probe ? 1 : 200;

	if (p->is_probe || p->dir.group_sync_mode != SYNC_DISABLED)
		pull_get(p, on_groups, 0, GET_MUST_EXIST, "%s" API "/groups?customer=my_customer&domain=%s&maxResults=%u", p->cfg->google_api_url, domain, per_page);
	if (p->is_probe || p->dir.orgunit_sync_enabled)
		pull_get(p, on_org_units, 0, GET_MUST_EXIST, "%s" API "/customer/my_customer/orgunits?type=all", p->cfg->google_api_url);
}

/* 1: there are more. Groups that are found meanwhile come with their members. */
static int read_some(struct pull *p)
{
	u32 asked = 0, left = USERS_LOOKED_AT;
	int rc = 0;

	if (p->cursor == 0)
		p->n_listed = p->snap.n_groups;
	for (; p->cursor < p->n_listed && asked < GROUPS_ASKED && left > 0; p->cursor++) {
		if (p->snap.groups[p->cursor].entity_type == ENTITY_ORG_UNIT) {
			rc = fill_org_unit(p, p->cursor, &left);
			if (rc)
				return rc;
		} else {
			ask_members(p, p->cursor, GET_MAY_LACK_404);
			asked++;
		}
	}
	return p->cursor < p->n_listed;
}

static int next(struct pull *p)
{
	int rc;

	switch (p->phase) {
	case ASK_USERS:
		p->phase++;
		pull_get(p, on_users, 0, GET_MUST_EXIST, "%s" API "/users?customer=my_customer&domain=%s&maxResults=%u&query=isSuspended%%3Dfalse%%20isArchived%%3Dfalse",
			 p->cfg->google_api_url, pull_encoded(p, 1, p->dir.domain ? p->dir.domain : ""), p->is_probe ? 1u : 500u);
		return 0;
	case ASK_GROUPS:
		p->phase++;
		ask_groups(p);
		return 0;
	case READ_ALL:
		if (p->is_probe)
			return 1;
		rc = read_some(p);
		p->phase += rc == 0;
		break;
	default:
		rc = snapshot_flatten(&p->snap, PAIRS_FLATTENED);
		if (rc == 0)
			return 1;
		break;
	}
	loop_yield(p->cfg->loop);
	return rc < 0 ? rc : 0;
}

const struct pull_ops google_ops = { .what = "Google", .authorize = authorize, .next = next, .headers = headers };
