/* applets/portal/model/directory.h: what decisions are made from, in memory: accounts, actors, groups, memberships, sites, resources,
 * policies, members of device pools.
 *
 * A mirror of those tables, filled at start and kept in step with every committed change by its owner, so that deciding never waits for the
 * disk and is a pure function. Devices and tokens are not here: they are read when one connects.
 *
 * The directory owns its entities. Pointers it hands out live until the entity is put or dropped.
 */
#pragma once

#include "applets/portal/model/entity.h"
#include "applets/portal/model/index.h"

#define DIRECTORY_KINDS (KIND_POOL_MEMBER + 1)

struct directory {
	struct index by_id[DIRECTORY_KINDS]; /* by (account, id) */
	struct index by_actor;		     /* memberships by (account, actor, group) */
	struct index by_resource;	     /* policies by (account, resource, id) */
	struct index by_group;		     /* policies by (account, group, id) */
	struct index everyone;		     /* groups without rows by (account, id) */
	u64 revision; /* of the last change; each entity keeps that of its own, none is given twice */
};

void directory_init(struct directory *d);
void directory_deinit(struct directory *d);

static inline bool directory_holds(enum kind k)
{
	return k < DIRECTORY_KINDS;
}

/* Takes a copy. The former entity of that id, if any, is handed to the caller in *old (entity_free()) so that he can compare. */
int directory_put(struct directory *d, enum kind k, const void *entity, void **old) MUST_CHECK;

/* The entity, now the caller's (entity_free()); NULL when absent. */
void *directory_take(struct directory *d, enum kind k, const struct uuid *account, const struct uuid *id);

const void *directory_get(const struct directory *d, enum kind k, const struct uuid *account, const struct uuid *id);

/* All of a kind in one account: *n pointers. */
void *const *directory_all(const struct directory *d, enum kind k, const struct uuid *account, u32 *n);

/* Policies for one resource; for one group. */
void *const *directory_policies_of(const struct directory *d, const struct uuid *account, const struct uuid *resource, u32 *n);
void *const *directory_policies_of_group(const struct directory *d, const struct uuid *account, const struct uuid *group, u32 *n);

/* Memberships of an actor in the order of their groups; those in groups without rows are not among them. */
void *const *directory_memberships_of(const struct directory *d, const struct actor *a, u32 *n);
/* Those of all actors in the order of these. */
void *const *directory_memberships(const struct directory *d, const struct uuid *account, u32 *n);
/* The groups that are "Everyone": one, once an account is set up. */
void *const *directory_everyone(const struct directory *d, const struct uuid *account, u32 *n);

static inline const struct account *directory_account(const struct directory *d, const struct uuid *account)
{
	return directory_get(d, KIND_ACCOUNT, account, account);
}

/* The account with that slug or id text; NULL. */
const struct account *directory_account_named(const struct directory *d, const char *slug_or_id);

bool group_is_everyone(const struct group *g);

/* Is the actor in the group? *membership is null for Everyone, which holds users and admins without rows. */
bool directory_is_member(const struct directory *d, const struct actor *a, const struct group *g, struct uuid *membership);
