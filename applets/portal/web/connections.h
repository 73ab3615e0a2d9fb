/* applets/portal/web/connections.h: "recent connections" of a resource, policy, client, gateway, actor or group: the same table on all of these pages.
 */
#pragma once

#include "applets/portal/web/paths.h"

#define CONNECTIONS_SHOWN 20u

struct connection_row {
	i64 at, expires_at;
	const char *resource, *resource_href;
	const char *client, *client_href;
	const char *actor, *actor_href;
	const char *gateway, *gateway_href;
	const char *policy, *policy_href; /* "Ops → lab" */
	const char *remote_ip;
	bool has_path; /* they are connected at present, and the gateway says so */
	struct hub_path path;
};

struct connections {
	struct connection_row *rows; /* newest first */
	u32 n;
};

/* KIND_COUNT: of the whole account. False: answered (503). */
bool connections_of(struct web *w, enum kind of, const struct uuid *id, struct connections *out) MUST_CHECK;
