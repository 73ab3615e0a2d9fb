#include "applets/portal/auth/identity.h"

#include "applets/portal/auth/auth.h"
#include "applets/portal/model/idna.h"

#include <string.h>

static const struct actor *actor_by_email(const struct directory *d, const struct uuid *account, const char *email)
{
	u32 n;
	void *const *all = directory_all(d, KIND_ACTOR, account, &n);

	for (u32 i = 0; i < n; i++) {
		const struct actor *a = all[i];
		if ((a->type == ACTOR_USER || a->type == ACTOR_ADMIN) && !a->disabled_at && a->email && email_means(email, a->email))
			return a;
	}
	return NULL;
}

/* 1: something is new; negative: no memory. */
static int update(char **field, const char *value)
{
	if (*field ? value && strcmp(*field, value) == 0 : !value)
		return 0;
	int rc = text_set(field, value);
	return rc ? rc : 1;
}

static int fill(struct identity *row, const struct oidc_profile *p)
{
	struct {
		char **field;
		const char *value;
	} all[] = { { &row->email, p->email },	     { &row->name, p->name },	       { &row->given_name, p->given_name },
		    { &row->family_name, p->family_name }, { &row->middle_name, p->middle_name }, { &row->nickname, p->nickname },
		    { &row->profile, p->profile },     { &row->picture, p->picture },     { &row->preferred_username, p->preferred_username } };
	int changed = 0;

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		int rc = update(all[i].field, all[i].value);
		if (rc < 0)
			return rc;
		changed |= rc;
	}
	return changed;
}

static int insert(struct exchange *x, const struct account *account, const struct actor *actor, const struct oidc_profile *p)
{
	struct identity row;

	entity_init(KIND_IDENTITY, &row);
	row.e.account_id = account->e.id;
	row.e.id = uuid_random(x->portal->rng);
	row.actor_id = actor->e.id;
	int rc = text_set(&row.issuer, p->issuer);
	rc = rc ? rc : text_set(&row.idp_id, p->idp_id);
	rc = rc ? rc : fill(&row, p);
	rc = rc < 0 ? rc : auth_begin(x, NULL);
	if (rc == 0)
		rc = auth_end(x, store_insert(x->portal->store, KIND_IDENTITY, &row, loop_wall(x->loop)));
	entity_deinit(KIND_IDENTITY, &row);
	return rc;
}

int identity_sign_in(struct exchange *x, const struct account *account, const struct oidc_profile *profile, struct uuid *actor_id)
{
	const struct directory *d = hub_directory(x->portal->hub);
	const struct store_filter by_name[] = { { "issuer", FILTER_IS, profile->issuer }, { "idp_id", FILTER_IS, profile->idp_id } };
	const struct actor *actor = actor_by_email(d, &account->e.id, profile->email);
	struct identity row;
	int rc = store_find(x->portal->store, KIND_IDENTITY, &account->e.id, by_name, ARRAY_LEN(by_name), &row);
	bool is_known = rc == 0;

	if (rc && rc != ERR_NOT_FOUND)
		return rc;
	if (!actor && is_known)
		actor = directory_get(d, KIND_ACTOR, &account->e.id, &row.actor_id);
	rc = actor ? 0 : ERR_NOT_FOUND;
	if (actor)
		*actor_id = actor->e.id;
	if (is_known) {
		int changed = rc ? 0 : fill(&row, profile);
		rc = rc || changed == 0 ? rc : changed < 0 ? changed : auth_begin(x, NULL);
		if (rc == 0 && changed)
			rc = auth_end(x, store_update(x->portal->store, KIND_IDENTITY, &row, loop_wall(x->loop)));
		entity_deinit(KIND_IDENTITY, &row);
		return rc;
	}
	return rc ? rc : insert(x, account, actor, profile);
}
