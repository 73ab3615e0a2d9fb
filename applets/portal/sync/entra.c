/* Microsoft Entra: an application with its own rights reads the tenant by Graph (spec 60 §8).
 *
 *   all groups, or whoever is assigned to our enterprise application ──▶ transitive members of each group
 */
#include "applets/portal/sync/pull.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USER_FIELDS "id,displayName,mail,userPrincipalName,givenName,surname,accountEnabled"

enum { ASK_GROUPS, ASK_MEMBERS, DONE };

static const char *client_id(const struct pull *p)
{
	return p->dir.client_id && *p->dir.client_id ? p->dir.client_id : p->cfg->entra_client_id;
}

static void authorize(struct pull *p)
{
	const char *id = client_id(p),
		   *secret = p->dir.client_id && *p->dir.client_id ? p->dir.client_secret : p->cfg->entra_client_secret;
	struct fetch_request rq = { .is_post = true, .done = pull_on_token, .ctx = p };

	if (!id || !secret || !p->dir.tenant_id) {
		pull_fail(p, PULL_REFUSED, "Entra: the operator of this portal has not registered it for reading directories");
		return;
	}
	const char *eid = pull_encoded(p, 0, id), *esecret = pull_encoded(p, 1, secret);
	const char *body = pull_text(p, 2, "grant_type=client_credentials&client_id=%s&client_secret=%s&scope=%s", eid, esecret,
				     pull_encoded(p, 3, pull_text(p, 3, "%s/.default", p->cfg->graph_url)));
	rq.body = SPAN(body, strlen(body));
	char url[400];
	snprintf(url, sizeof(url), "%.300s/%.60s/oauth2/v2.0/token", p->cfg->entra_url, p->dir.tenant_id);
	rq.url = url;
	int rc = fetch_start(p->cfg->fetcher, &rq, &p->token_fetch);
	if (rc)
		pull_fail(p, PULL_DISTURBED, "Entra: signing in: %s", err_str(rc));
}

static void headers(struct pull *p, const char *url, struct fetch_request *rq)
{
	(void)url;
	rq->header[0].name = "Authorization";
	rq->header[0].value = pull_text(p, 0, "Bearer %s", p->token);
	rq->header[1].name = "ConsistencyLevel"; /* advanced filters of members */
	rq->header[1].value = "eventual";
}

/* The next page is a whole URL, which must be Graph's. */
static int ask_next(struct pull *p, const struct pull_get *g, const struct cJSON *root)
{
	const char *link = pull_str(root, "@odata.nextLink");

	if (!link || p->is_probe)
		return 0;
	if (!pull_same_origin(link, p->cfg->graph_url))
		return ERR_MALFORMED;
	pull_get(p, g->page, g->group, (enum get_lack)g->lack, "%s", link);
	return 0;
}

static int add_user(struct pull *p, const struct cJSON *u)
{
	struct json_get g = JSON_GET;
	const struct cJSON *enabled = json_member(&g, u, "accountEnabled");
	const char *upn = pull_str(u, "userPrincipalName"), *mail = pull_str(u, "mail");

	if (enabled && json_is_false(enabled))
		return ERR_NOT_FOUND;
	return snapshot_user(&p->snap, pull_str(u, "id"), p->dir.email_field == DIRECTORY_EMAIL_MAIL ? mail : upn, pull_str(u, "displayName"),
			     pull_str(u, "givenName"), pull_str(u, "surname"));
}

static int on_members(struct pull *p, const struct pull_get *g, const struct cJSON *root, const struct http_head *head)
{
	struct json_get get = JSON_GET;
	const struct cJSON *list = json_array(&get, root, "value");

	(void)head;
	json_each(u, get.err ? NULL : list) {
		int i = add_user(p, u), rc = i < 0 ? (i == ERR_NOT_FOUND ? 0 : i) : snapshot_member(&p->snap, g->group, (u32)i);
		if (rc)
			return rc;
	}
	return get.err ? get.err : ask_next(p, g, root);
}

/* Somebody who is assigned himself. */
static int on_user(struct pull *p, const struct pull_get *g, const struct cJSON *root, const struct http_head *head)
{
	int i = add_user(p, root);

	(void)g, (void)head;
	if (i >= 0)
		p->snap.users[i].is_wanted = true;
	return i < 0 && i != ERR_NOT_FOUND ? i : 0;
}

static int on_groups(struct pull *p, const struct pull_get *g, const struct cJSON *root, const struct http_head *head)
{
	struct json_get get = JSON_GET;
	const struct cJSON *list = json_array(&get, root, "value");

	(void)head;
	json_each(v, get.err ? NULL : list) {
		int i = snapshot_group(&p->snap, pull_str(v, "id"), pull_str(v, "displayName"), pull_str(v, "mail"), ENTITY_GROUP);
		if (i < 0)
			return i;
	}
	return get.err ? get.err : ask_next(p, g, root);
}

static int on_assigned(struct pull *p, const struct pull_get *g, const struct cJSON *root, const struct http_head *head)
{
	struct json_get get = JSON_GET;
	const struct cJSON *list = json_array(&get, root, "value");

	(void)head;
	json_each(v, get.err ? NULL : list) {
		const char *type = pull_str(v, "principalType"), *id = pull_str(v, "principalId");
		if (!type || !id)
			return ERR_MALFORMED;
		if (strcmp(type, "Group") == 0) {
			int i = snapshot_group(&p->snap, id, pull_str(v, "principalDisplayName"), NULL, ENTITY_GROUP);
			if (i < 0)
				return i;
		} else if (strcmp(type, "User") == 0 && !p->is_probe) {
			pull_get(p, on_user, 0, GET_MAY_LACK_404, "%s/v1.0/users/%s?$select=" USER_FIELDS, p->cfg->graph_url, pull_encoded(p, 1, id));
		}
	}
	return get.err ? get.err : ask_next(p, g, root);
}

static int on_principal(struct pull *p, const struct pull_get *g, const struct cJSON *root, const struct http_head *head)
{
	struct json_get get = JSON_GET;
	const char *id = pull_str(json_first(json_array(&get, root, "value")), "id");

	(void)g, (void)head;
	if (get.err)
		return get.err;
	if (!id)
		pull_fail(p, PULL_REFUSED, "Entra: the enterprise application of this portal is not in the tenant (has its admin agreed?)");
	else
		pull_get(p, on_assigned, 0, GET_MUST_EXIST, "%s/v1.0/servicePrincipals/%s/appRoleAssignedTo?$top=%u&$select=id,principalId,principalType,principalDisplayName",
			 p->cfg->graph_url, pull_encoded(p, 1, id), p->is_probe ? 1u : 999u);
	return 0;
}

static int next(struct pull *p)
{
	switch (p->phase++) {
	case ASK_GROUPS:
		if (p->is_probe)
			pull_get(p, on_members, 0, GET_MUST_EXIST, "%s/v1.0/users?$top=1&$select=id,displayName", p->cfg->graph_url);
		if (p->is_probe || p->dir.sync_all_groups)
			pull_get(p, on_groups, 0, GET_MUST_EXIST, "%s/v1.0/groups?$top=%u&$select=id,displayName,mail", p->cfg->graph_url, p->is_probe ? 1u : 999u);
		if (!p->dir.sync_all_groups)
			pull_get(p, on_principal, 0, GET_MUST_EXIST, "%s/v1.0/servicePrincipals?$filter=appId%%20eq%%20%%27%s%%27&$select=id,appId", p->cfg->graph_url,
				 pull_encoded(p, 1, client_id(p)));
		return 0;
	case ASK_MEMBERS:
		for (u32 i = 0; i < p->snap.n_groups && !p->is_probe; i++)
			pull_get(p, on_members, i, GET_MAY_LACK_404,
				 "%s/v1.0/groups/%s/transitiveMembers/microsoft.graph.user?$top=999&$count=true&$filter=accountEnabled%%20eq%%20true&$select=" USER_FIELDS,
				 p->cfg->graph_url, pull_encoded(p, 1, p->snap.groups[i].idp_id));
		return 0;
	}
	return 1;
}

const struct pull_ops entra_ops = { .what = "Entra", .authorize = authorize, .next = next, .headers = headers };
