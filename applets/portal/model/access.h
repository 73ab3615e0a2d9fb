/* applets/portal/model/access.h: who may reach what, until when (spec 60 §4.2–§4.4).
 *
 * Pure: everything is decided from the directory, the subject and the wall clock. Times are Unix seconds.
 */
#pragma once

#include "applets/portal/model/directory.h"
#include "applets/portal/model/rules.h"
#include "applets/portal/model/version.h"

#define ACCESS_FOREVER INT64_MAX

/* Seconds that local time in an IANA zone is ahead of UTC at an instant. ERR_NOT_FOUND: no such zone. */
struct zones {
	int (*offset)(void *ctx, struct span zone, i64 utc, i64 *offset);
	void *ctx;
};

/* A connected client as policies see it: what was true when it connected. */
struct subject {
	struct uuid account_id, actor_id;
	struct ip remote_ip;
	char region[3];		   /* ISO 3166-1 alpha-2, "" = unknown */
	struct uuid auth_provider; /* null for service accounts */
	bool is_verified;
	struct version version;
	bool knows_pools; /* device pools are shown to it (spec 10 §14) */
	i64 expires_at; /* of its token */
	const struct zones *zones;
};

/* Do the conditions of a policy hold at `now`? *expires_at = when they may cease to. If not, the failing properties are added to
 * *violated, a set of bits 1 << enum property. */
bool conditions_hold(const char *conditions, const struct subject *s, i64 now, i64 *expires_at, u32 *violated);

/* Resources the subject may connect to, in the order of their ids: at most `max` pointers into the directory, where `max` is no less than the number
 * of the account's policies. Returns how many. Costs what the actor's groups grant, whatever else the account has. */
u32 access_list(const struct directory *d, const struct subject *s, i64 now, const struct resource **out, u32 max);

/* The policy that grants a resource the longest. ERR_NOT_FOUND: none names the subject; ERR_DENIED: none whose conditions hold. */
struct grant {
	const struct policy *policy;
	struct uuid membership_id; /* null for Everyone */
	i64 expires_at;		   /* capped by the token */
};
int access_grant(const struct directory *d, const struct subject *s, const struct uuid *resource, i64 now, struct grant *out,
		 u32 *violated);
