/* applets/portal/sync/snapshot.h: what a directory has: people, groups, who is in which; collected whole before anything is changed here.
 *
 * Everything is found again by its id at the directory. Groups may be in groups until snapshot_flatten() turned that into memberships of people.
 * Limits bound what a hostile directory can make us keep; reaching one ends the run.
 */
#pragma once

#include "applets/portal/model/entity.h"
#include "core/base/table.h"

#define SNAPSHOT_USERS_MAX 100000u
#define SNAPSHOT_GROUPS_MAX 20000u
#define SNAPSHOT_MEMBERS_MAX 1000000u
#define SNAPSHOT_KEY_LEN 16u

struct snap_user {
	char *idp_id, *email, *name, *given_name, *family_name;
	char *path;	/* google: its org unit */
	bool is_wanted; /* is in a group, or assigned: only such are taken over */
};

struct snap_group {
	char *idp_id, *name, *email, *path;
	enum entity_type entity_type;
	u32 seen; /* of snapshot_flatten() */
};

struct snap_pair {
	u32 group, member; /* member: a user, or of `nested` a group */
};

struct snapshot {
	struct snap_user *users;
	struct snap_group *groups;
	struct snap_pair *members, *nested;
	u32 n_users, cap_users, n_groups, cap_groups, n_members, cap_members, n_nested, cap_nested;
	struct table by_user, by_group, by_pair;
	struct flattening *flattening; /* while it is under way */
};

void snapshot_init(struct snapshot *s, struct rng *rng);
void snapshot_deinit(struct snapshot *s);

/* The number of the thing, new or known; ERR_LIMIT, ERR_NOMEM, ERR_INVAL (no id, or longer than 255). Texts are copied; NULL is none. */
int snapshot_user(struct snapshot *s, const char *idp_id, const char *email, const char *name, const char *given_name, const char *family_name);
int snapshot_group(struct snapshot *s, const char *idp_id, const char *name, const char *email, enum entity_type type);
/* ERR_NOT_FOUND. */
int snapshot_find_user(const struct snapshot *s, const char *idp_id);
int snapshot_find_group(const struct snapshot *s, const char *idp_id);
int snapshot_member(struct snapshot *s, u32 group, u32 user) MUST_CHECK; /* twice is once */
int snapshot_nest(struct snapshot *s, u32 group, u32 inner) MUST_CHECK;
/* Breadth first from each group; circles are harmless. In parts of `work` pairs or groups; nothing is added between them. 1: there is more to do,
 * call again; 0: done. */
int snapshot_flatten(struct snapshot *s, u32 work) MUST_CHECK;
bool snapshot_has_member(const struct snapshot *s, u32 group, u32 user);

void snapshot_key(u8 key[static SNAPSHOT_KEY_LEN], const char *idp_id);
