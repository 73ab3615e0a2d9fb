#include "core/phoenix/messages.h"

#include "core/phoenix/msg_arena.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define C (1u << MSG_ROLE_CLIENT)
#define G (1u << MSG_ROLE_GATEWAY)
#define R (1u << MSG_ROLE_RELAY)

/* One row per message and wire on which its name differs. The first name is sent, the second only understood. */
static const struct row {
	enum msg_type type;
	u8 roles;
	enum msg_dir dir;
	const char *v1, *v1_alias; /* NULL = does not exist there */
	const char *v2, *v2_alias;
} rows[] = {
#define SAME(name) name, NULL, name, NULL
	{ MSG_INIT_CLIENT, C, MSG_TO_PEER, SAME("init") },
	{ MSG_INIT_GATEWAY, G, MSG_TO_PEER, SAME("init") },
	{ MSG_INIT_RELAY, R, MSG_TO_PEER, SAME("init") },
	{ MSG_CONFIG_CHANGED, C, MSG_TO_PEER, SAME("config_changed") },
	{ MSG_RESOURCE_CREATED_OR_UPDATED, C, MSG_TO_PEER, SAME("resource_created_or_updated") },
	{ MSG_RESOURCE_DELETED, C, MSG_TO_PEER, SAME("resource_deleted") },
	{ MSG_RELAYS_PRESENCE, C | G, MSG_TO_PEER, SAME("relays_presence") },
	{ MSG_FLOW_CREATED, C, MSG_TO_PEER, "flow_created", NULL, "authorization_created", NULL },
	{ MSG_FLOW_CREATION_FAILED, C, MSG_TO_PEER, "flow_creation_failed", NULL, "authorization_creation_failed", NULL },
	{ MSG_GATEWAY_ICE_CANDIDATES, C, MSG_TO_PEER, "ice_candidates", "gateway_ice_candidates", "ice_candidates", "gateway_ice_candidates" },
	{ MSG_GATEWAY_ICE_INVALIDATED, C, MSG_TO_PEER, "invalidate_ice_candidates", "invalidate_gateway_ice_candidates",
	  "invalidate_ice_candidates", "invalidate_gateway_ice_candidates" },
	{ MSG_CLIENT_ICE_CANDIDATES, C, MSG_TO_PEER, SAME("client_ice_candidates") },
	{ MSG_CLIENT_ICE_CANDIDATES, G, MSG_TO_PEER, SAME("ice_candidates") },
	{ MSG_CLIENT_ICE_INVALIDATED, C, MSG_TO_PEER, SAME("invalidate_client_ice_candidates") },
	{ MSG_CLIENT_ICE_INVALIDATED, G, MSG_TO_PEER, SAME("invalidate_ice_candidates") },
	{ MSG_CLIENT_ICE_CANDIDATE_ERROR, C, MSG_TO_PEER, SAME("client_ice_candidate_error") },
	{ MSG_CLIENT_DEVICE_ACCESS_AUTHORIZED, C, MSG_TO_PEER, SAME("client_device_access_authorized") },
	{ MSG_CLIENT_DEVICE_ACCESS_DENIED, C, MSG_TO_PEER, SAME("client_device_access_denied") },
	{ MSG_AUTHORIZE_FLOW, G, MSG_TO_PEER, "authorize_flow", NULL, "create_authorization", NULL },
	{ MSG_REJECT_ACCESS, G, MSG_TO_PEER, SAME("reject_access") },
	{ MSG_REJECT_ACCESS, C, MSG_TO_PEER, SAME("reject_access") },
	{ MSG_RESOURCE_FILTERS_UPDATED, C, MSG_TO_PEER, SAME("resource_filters_updated") },
	{ MSG_ACCESS_AUTHORIZATION_EXPIRY_UPDATED, G, MSG_TO_PEER, SAME("access_authorization_expiry_updated") },
	{ MSG_RESOURCE_UPDATED, G, MSG_TO_PEER, SAME("resource_updated") },
	{ MSG_CREATE_FLOW, C, MSG_TO_PORTAL, "create_flow", NULL, "request_authorization", NULL },
	{ MSG_REQUEST_DEVICE_ACCESS, C, MSG_TO_PORTAL, SAME("request_device_access") },
	{ MSG_NO_RELAYS, C | G, MSG_TO_PORTAL, SAME("no_relays") },
	{ MSG_NEW_GATEWAY_ICE_CANDIDATES, C, MSG_TO_PORTAL, SAME("new_gateway_ice_candidates") },
	{ MSG_INVALIDATE_GATEWAY_ICE_CANDIDATES, C, MSG_TO_PORTAL, SAME("invalidate_gateway_ice_candidates") },
	{ MSG_NEW_CLIENT_ICE_CANDIDATES, C, MSG_TO_PORTAL, SAME("new_client_ice_candidates") },
	{ MSG_INVALIDATE_CLIENT_ICE_CANDIDATES, C, MSG_TO_PORTAL, SAME("invalidate_client_ice_candidates") },
	{ MSG_BROADCAST_ICE_CANDIDATES, C | G, MSG_TO_PORTAL, SAME("broadcast_ice_candidates") },
	{ MSG_BROADCAST_INVALIDATED_ICE_CANDIDATES, C | G, MSG_TO_PORTAL, SAME("broadcast_invalidated_ice_candidates") },
	{ MSG_FLOW_AUTHORIZED, G, MSG_TO_PORTAL, "flow_authorized", NULL, "authorization_created", NULL },
	{ MSG_SET_SNOWNET_CAPABILITIES, C | G, MSG_TO_PORTAL, NULL, NULL, "set_snownet_capabilities", NULL },
	{ MSG_CONNECTIONS_REPORT, G, MSG_TO_PORTAL, SAME("connections_report") },
};

static bool row_is_on(const struct row *r, struct msg_wire w)
{
	return r->dir == w.dir && (r->roles & 1u << w.role);
}

const char *msg_event(struct msg_wire w, enum msg_type type)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].type == type && row_is_on(&rows[i], w))
			return w.version == MSG_V1 ? rows[i].v1 : rows[i].v2;
	return NULL;
}

static bool is_name(const char *name, const char *event)
{
	return name && strcmp(name, event) == 0;
}

int msg_type_of(struct msg_wire w, const char *event, enum msg_type *out)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		if (!row_is_on(r, w))
			continue;
		if (w.version == MSG_V1 ? is_name(r->v1, event) || is_name(r->v1_alias, event) :
					  is_name(r->v2, event) || is_name(r->v2_alias, event)) {
			*out = r->type;
			return 0;
		}
	}
	return ERR_NOT_FOUND;
}

const char *msg_type_name(enum msg_type type)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].type == type)
			return rows[i].v1 ? rows[i].v1 : rows[i].v2;
	return "unknown";
}

const char *msg_reason_name(enum msg_reason r)
{
	switch (r) {
	case MSG_REASON_UNKNOWN: return "unknown";
	case MSG_REASON_NOT_FOUND: return "not_found";
	case MSG_REASON_OFFLINE: return "offline";
	case MSG_REASON_VERSION_MISMATCH: return "version_mismatch";
	case MSG_REASON_FORBIDDEN: return "forbidden";
	case MSG_REASON_DISABLED: return "disabled";
	case MSG_REASON_AMBIGUOUS_ADDRESS: return "ambiguous_address";
	case MSG_REASON_MISSING_ADDRESS: return "missing_address";
	case MSG_REASON_INVALID_ADDRESS: return "invalid_address";
	}
	return "unknown";
}

const char *msg_path_name(enum msg_path p)
{
	switch (p) {
	case MSG_PATH_DIRECT: return "direct";
	case MSG_PATH_RELAYED: return "relayed";
	case MSG_PATH_GONE: return "gone";
	}
	return "unknown";
}

/* --- memory of decoded messages ------------------------------------------------------------------------------------------------ */

#define BLOCK_BYTES 1024u

struct msg_arena {
	struct msg_arena *next; /* older blocks */
	size_t used, size;
	alignas(max_align_t) u8 bytes[];
};

void *msg_alloc(struct msg_arena **a, size_t count, size_t size)
{
	size_t n;

	if (__builtin_mul_overflow(count, size, &n) || n > SIZE_MAX / 2)
		return NULL;
	n = (n + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (n == 0)
		n = alignof(max_align_t);
	if (!*a || (*a)->size - (*a)->used < n) {
		size_t room = MAX(n, (size_t)BLOCK_BYTES);
		struct msg_arena *b = calloc(1, sizeof(*b) + room);
		if (!b)
			return NULL;
		b->size = room;
		b->next = *a;
		*a = b;
	}
	void *p = (*a)->bytes + (*a)->used;
	(*a)->used += n;
	return p;
}

void msg_arena_free(struct msg_arena *a)
{
	while (a) {
		struct msg_arena *next = a->next;
		sodium_memzero(a, sizeof(*a) + a->size);
		free(a);
		a = next;
	}
}

void msg_free(struct portal_message *m)
{
	msg_arena_free(m->mem);
	sodium_memzero(m, sizeof(*m));
}
