#include "applets/portal/admin/admin.h"

static const struct {
	enum kind kind;
	const char *one, *many;
} words[] = {
	{ KIND_ACTOR, "actor", "actors" },
	{ KIND_GROUP, "group", "groups" },
	{ KIND_MEMBERSHIP, "membership", "memberships" },
	{ KIND_SITE, "site", "sites" },
	{ KIND_RESOURCE, "resource", "resources" },
	{ KIND_POLICY, "policy", "policies" },
	{ KIND_POOL_MEMBER, "device of the pool", "devices of the pool" },
	{ KIND_CLIENT, "client", "clients" },
	{ KIND_GATEWAY, "gateway", "gateways" },
	{ KIND_CLIENT_TOKEN, "client token", "client tokens" },
	{ KIND_GATEWAY_TOKEN, "gateway token", "gateway tokens" },
	{ KIND_API_TOKEN, "API token", "API tokens" },
	{ KIND_IDENTITY, "identity", "identities" },
	{ KIND_PORTAL_SESSION, "portal session", "portal sessions" },
	{ KIND_CREDENTIAL, "credential", "credentials" },
};

int admin_dependents(struct portal *p, enum kind k, const struct uuid *account, const struct uuid *id, struct dependents *out)
{
	struct store_dependent found[STORE_DEPENDENTS_MAX];
	u32 n;
	int rc = store_dependents(p->store, k, account, id, found, &n);

	memset(out, 0, sizeof(*out));
	for (u32 i = 0; i < n && !rc; i++)
		for (size_t j = 0; j < ARRAY_LEN(words); j++)
			if (words[j].kind == found[i].kind)
				out->at[out->n++] = (struct dependent){ found[i].kind, words[j].one, words[j].many, found[i].count };
	return rc;
}
