/* applets/portal/sync/apply.h: a snapshot of a directory becomes actors, identities, groups and memberships (spec 60 §8).
 *
 *   [compare] ──would all identities or all groups go? ──▶ stopped, nothing changed
 *       └──▶ [users] ──▶ [groups] ──▶ [memberships] ──▶ [memberships that are over] ──▶ [groups] ──▶ [identities, actors] ──▶ [policies] ──▶ done
 *
 * Deletions come last, and only because the snapshot is whole. Work is done in slices of at most APPLY_SLICE, each a transaction of its own
 * that is published at once, so that the loop goes on; being stopped in between is harmless, the next sync continues. Rows are written only
 * when they differ, so `last_synced_at` of a row tells when it was last changed by a sync, `synced_at` of the directory when it was last compared.
 *
 * A user is the identity (issuer, id); else the actor with that e-mail gets the identity; else an actor is made. Actors that a directory made
 * go with their last identity, but never the last enabled admin. Users without a proper address are left out and counted.
 */
#pragma once

#include "applets/portal/admin/admin.h"
#include "applets/portal/sync/pull.h"

#define APPLY_SLICE MSEC(3)
#define APPLY_ISSUER_MAX 512u

struct apply_counts {
	u32 users, users_new, users_left_out, identities_gone, actors_gone;
	u32 groups, groups_new, groups_gone, groups_left_out;
	u32 memberships_new, memberships_gone, policies_attached;
};

struct apply;

/* The pull is borrowed until `done`, which is called once, from the loop: 0; ERR_DENIED: everything would vanish (`why`); ERR_NOT_FOUND: directory or
 * account are gone or switched off; others: the store refuses. NULL: no memory. */
struct apply *apply_new(struct portal *p, struct loop *l, struct pull *pull, void (*done)(void *ctx, int rc, const char *why), void *ctx);
void apply_free(struct apply *a);
const struct apply_counts *apply_counts(const struct apply *a);
