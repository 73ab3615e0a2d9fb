/* core/phoenix/messages.h: every message that portal and peers exchange, typed, for both ends (spec 10 §6–§9, §14).
 *
 * One table in messages.c names each message's event per role, direction and protocol version; one encoder and one decoder serve the
 * portal and the peers, so the ends cannot drift apart.
 *
 *	struct msg_wire w = { MSG_ROLE_CLIENT, MSG_TO_PORTAL, MSG_V1 };
 *
 * Ownership: msg_decode() copies everything into memory of the message; msg_free() releases it (and wipes it: it holds keys). A message
 * that is composed for msg_encode() borrows whatever it points at and needs no msg_free().
 *
 * Tolerance (spec 10 §3.5): unknown members are ignored. A client resource of unknown type or bad content costs only itself
 * (`n_skipped`); candidates are not parsed here. Everything else that is wrong costs the message. Strings are UTF-8 and never NULL unless
 * it says "or NULL".
 */
#pragma once

#include "core/ip/addr.h"
#include "core/json/json.h"

#define MSG_RESOURCES_MAX 16384u       /* resources in one init */
#define MSG_FILTERS_MAX 1024u          /* filters of one resource */
#define MSG_SITES_MAX 64u              /* sites of one resource */
#define MSG_RELAYS_MAX 64u             /* relay entries in one message */
#define MSG_CANDIDATES_MAX 256u        /* candidates in one message */
#define MSG_IDS_MAX 4096u              /* ids in one list */
#define MSG_AUTHORIZATIONS_MAX 262144u /* (client, resource) pairs in one gateway init */
#define MSG_UPSTREAMS_MAX 64u          /* upstream DNS servers of one kind */
#define MSG_PROPERTIES_MAX 16u         /* violated properties kept */
#define MSG_REPORTED_MAX 256u          /* connections in one report; more take several messages */
#define MSG_REPORT_INTERVAL_MIN 5u     /* seconds between reports that a portal may ask for; anything else is as if it had not asked */
#define MSG_REPORT_INTERVAL_MAX 3600u
#define MSG_RTT_MS_MAX 60000u

enum msg_role { MSG_ROLE_CLIENT, MSG_ROLE_GATEWAY, MSG_ROLE_RELAY };
enum msg_dir { MSG_TO_PEER, MSG_TO_PORTAL };
enum msg_version { MSG_V1, MSG_V2 }; /* of the endpoint: /client/websocket or /client/v2/websocket (spec 10 §14) */

struct msg_wire {
	enum msg_role role; /* of the peer end */
	enum msg_dir dir;
	enum msg_version version;
};

/* --- shared types (spec 10 §6) --------------------------------------------------------------------------------------------------- */

#define MSG_KEY 32u
#define MSG_NEVER_EXPIRES UINT64_MAX

struct msg_ice {
	const char *username;
	const char *password;
};

struct msg_candidates {
	const char *const *text; /* "candidate:…", verbatim, highest priority first */
	size_t n;
};

struct msg_ids {
	const struct uuid *id;
	size_t n;
};

enum msg_protocol { MSG_TCP, MSG_UDP, MSG_ICMP };

struct msg_filter {
	enum msg_protocol protocol;
	u16 port_start, port_end; /* inclusive; 0 and 65535 when not given; unused for icmp */
};

struct msg_site {
	struct uuid id;
	const char *name;
};

enum msg_resource_type {
	MSG_RESOURCE_DNS,
	MSG_RESOURCE_CIDR,
	MSG_RESOURCE_INTERNET,
	MSG_RESOURCE_STATIC_DEVICE_POOL,  /* clients only */
	MSG_RESOURCE_DYNAMIC_DEVICE_POOL, /* clients only */
};

enum msg_ip_stack { MSG_STACK_DUAL, MSG_STACK_IPV4_ONLY, MSG_STACK_IPV6_ONLY };

/* A device of a static pool. */
struct msg_device {
	struct uuid client_id;
	struct ip ipv4, ipv6;
};

/* Also the gateway's view of a resource; sites, description, ip_stack and devices are not sent to gateways. */
struct msg_resource {
	enum msg_resource_type type;
	struct uuid id;
	const char *name;                /* "" when the wire has none */
	const char *address;             /* dns, dynamic pool: pattern; cidr: text of `net` as received; else "" */
	struct cidr net;                 /* cidr only; what msg_encode() writes */
	const char *address_description; /* or NULL */
	enum msg_ip_stack ip_stack;      /* dns only */
	const struct msg_site *sites;
	size_t n_sites;
	const struct msg_filter *filters; /* none = everything allowed */
	size_t n_filters;
	const struct msg_device *devices; /* static pool only; NULL: not told, as at the pin */
	size_t n_devices;
};

/* A relay: its entries merged by id, one endpoint per family; family 0 = absent. */
struct msg_relay {
	struct uuid id;
	struct endpoint v4, v6;
	const char *username;
	const char *password;
	u64 expires_at; /* Unix seconds */
};

struct msg_relays {
	const struct msg_relay *relay;
	size_t n;
};

/* Client: all of it. Gateway: the two addresses. */
struct msg_interface {
	struct ip ipv4, ipv6;
	const char *search_domain;         /* or NULL */
	const struct ip *upstream_do53;    /* decoded: already the legacy list when upstream_do53 is empty (spec 10 §6) */
	size_t n_upstream_do53;
	const char *const *upstream_doh;   /* URLs */
	size_t n_upstream_doh;
};

/* v2 only (spec 10 §14): api_url NULL on v1. */
struct msg_flow_logs {
	const char *api_url; /* or NULL */
	u64 upload_interval_secs; /* 0 = off */
	u64 upload_batch_size;
};

enum msg_reason {
	MSG_REASON_UNKNOWN,
	MSG_REASON_NOT_FOUND,
	MSG_REASON_OFFLINE,
	MSG_REASON_VERSION_MISMATCH,
	MSG_REASON_FORBIDDEN,
	MSG_REASON_DISABLED,
	MSG_REASON_AMBIGUOUS_ADDRESS, /* from here on: of device pools, after the pin (spec 10 §14) */
	MSG_REASON_MISSING_ADDRESS,
	MSG_REASON_INVALID_ADDRESS,
};
const char *msg_reason_name(enum msg_reason r);

/* --- messages ------------------------------------------------------------------------------------------------------------------------ */

enum msg_type {
	/* portal → peer */
	MSG_INIT_CLIENT,                       /* init_client */
	MSG_INIT_GATEWAY,                      /* init_gateway */
	MSG_INIT_RELAY,                        /* (nothing) */
	MSG_CONFIG_CHANGED,                    /* config_changed */
	MSG_RESOURCE_CREATED_OR_UPDATED,       /* resource */
	MSG_RESOURCE_DELETED,                  /* id */
	MSG_RELAYS_PRESENCE,                   /* relays_presence */
	MSG_FLOW_CREATED,                      /* flow_created */
	MSG_FLOW_CREATION_FAILED,              /* flow_creation_failed */
	MSG_GATEWAY_ICE_CANDIDATES,            /* candidates: of a gateway */
	MSG_GATEWAY_ICE_INVALIDATED,           /* candidates */
	MSG_CLIENT_ICE_CANDIDATES,             /* candidates: of a client, to a gateway or another client */
	MSG_CLIENT_ICE_INVALIDATED,            /* candidates */
	MSG_CLIENT_ICE_CANDIDATE_ERROR,        /* candidate_error */
	MSG_CLIENT_DEVICE_ACCESS_AUTHORIZED,   /* device_access_authorized */
	MSG_CLIENT_DEVICE_ACCESS_DENIED,       /* device_access_denied */
	MSG_AUTHORIZE_FLOW,                    /* authorize_flow */
	MSG_REJECT_ACCESS,                     /* access; to clients that know device pools too */
	MSG_ACCESS_AUTHORIZATION_EXPIRY_UPDATED, /* access */
	MSG_RESOURCE_UPDATED,                  /* resource, as gateways see it */
	MSG_RESOURCE_FILTERS_UPDATED,          /* resource: its id and filters, of a device pool */

	/* peer → portal */
	MSG_CREATE_FLOW,                       /* create_flow */
	MSG_REQUEST_DEVICE_ACCESS,             /* ipv4 */
	MSG_NO_RELAYS,                         /* (nothing) */
	MSG_NEW_GATEWAY_ICE_CANDIDATES,        /* candidates: ours, for that gateway */
	MSG_INVALIDATE_GATEWAY_ICE_CANDIDATES, /* candidates */
	MSG_NEW_CLIENT_ICE_CANDIDATES,         /* candidates: ours, for that client */
	MSG_INVALIDATE_CLIENT_ICE_CANDIDATES,  /* candidates */
	MSG_BROADCAST_ICE_CANDIDATES,          /* broadcast */
	MSG_BROADCAST_INVALIDATED_ICE_CANDIDATES, /* broadcast */
	MSG_FLOW_AUTHORIZED,                   /* flow_authorized */
	MSG_SET_SNOWNET_CAPABILITIES,          /* capabilities; v2 */
	MSG_CONNECTIONS_REPORT,                /* connections_report; ours (spec 10 §15), only to a portal that asked */
	MSG_TYPE_COUNT
};

struct msg_access {
	struct uuid client_id, resource_id;
	u64 expires_at; /* Unix seconds; unused in reject_access */
};

struct msg_init_client {
	struct msg_interface interface;
	const struct msg_resource *resources;
	size_t n_resources;
	size_t n_skipped; /* resources of unknown type or bad content; decode only */
	struct msg_relays relays;
	const struct msg_access *authorizations; /* who may reach this client through which pool; sent on v2 */
	size_t n_authorizations;
	struct msg_flow_logs flow_logs;
};

struct msg_init_gateway {
	struct msg_interface interface;
	bool ipv4_masquerade_enabled, ipv6_masquerade_enabled;
	struct msg_relays relays;
	const char *account_slug; /* or NULL */
	const struct msg_access *authorizations;
	size_t n_authorizations;
	struct msg_flow_logs flow_logs;
	u32 report_interval_secs; /* 0: reports are not wanted, as by portals of Firezone (spec 10 §15) */
};

struct msg_relays_presence {
	struct msg_ids disconnected;
	struct msg_relays connected;
};

struct msg_flow_created {
	struct uuid resource_id, gateway_id, site_id;
	u8 gateway_public_key[MSG_KEY];
	u8 preshared_key[MSG_KEY];
	struct ip gateway_ipv4, gateway_ipv6;
	struct msg_ice client_ice, gateway_ice;
	const char *flow_logs_ingest_token; /* v2, or NULL */
};

struct msg_flow_creation_failed {
	struct uuid resource_id;
	enum msg_reason reason;
	const char *reason_text; /* as on the wire; decode only */
	const char *const *violated_properties;
	size_t n_violated_properties;
};

/* `id` is the other end: gateway or client, as the message's name says. */
struct msg_ice_candidates {
	struct uuid id;
	struct msg_candidates candidates;
};

struct msg_candidate_error {
	struct uuid client_id;
	enum msg_reason reason;
};

struct msg_device_access_authorized {
	struct uuid client_id;
	u8 client_public_key[MSG_KEY];
	u8 preshared_key[MSG_KEY];
	struct ip client_ipv4, client_ipv6;
	struct msg_ice local_ice, remote_ice;
	bool is_controlling;
	const char *client_name; /* or NULL; ignored by peers of the pin */
	const char *const *client_fqdns;
	size_t n_client_fqdns;
	/* To the end that was asked for: the pool that grants it, and until when. */
	bool has_resource;
	struct msg_resource resource; /* its id and filters */
	u64 expires_at;		      /* Unix seconds; 0 = not told */
	const char *flow_logs_ingest_token; /* v2, or NULL */
};

/* What was asked for; families of 0 are not sent, and neither is the null id. */
struct msg_device_access_denied {
	struct ip ipv4, ipv6;
	enum msg_reason reason;
	struct uuid client_id, resource_id; /* encode only: peers do not read them */
};

struct msg_authorize_flow {
	const char *ref; /* opaque, echoed in flow_authorized */
	struct msg_resource resource;
	struct {
		struct uuid id;
		u8 public_key[MSG_KEY];
		u8 preshared_key[MSG_KEY];
		struct ip ipv4, ipv6;
		/* each or NULL */
		const char *version, *device_os_name, *device_os_version, *device_serial, *device_uuid, *identifier_for_vendor,
			*firebase_installation_id;
	} client;
	struct {
		const char *auth_provider_id, *actor_name, *actor_id, *actor_email; /* each or NULL */
	} subject;
	struct msg_ice client_ice, gateway_ice;
	u64 expires_at; /* Unix seconds or MSG_NEVER_EXPIRES */
	const char *flow_logs_ingest_token; /* v2, or NULL */
};

struct msg_create_flow {
	struct uuid resource_id;
	struct msg_ids connected_gateways;
	struct ip ipv4, ipv6; /* of a device in a pool; family 0 = absent */
};

/* From a gateway the ids are clients, from a client (before 1.5.7) gateways. */
struct msg_broadcast {
	struct msg_ids ids;
	struct msg_candidates candidates;
};

struct msg_flow_authorized {
	const char *ref;
};

struct msg_capabilities {
	bool iceless;
};

enum msg_path { MSG_PATH_DIRECT, MSG_PATH_RELAYED, MSG_PATH_GONE };
const char *msg_path_name(enum msg_path p);

/* What a gateway knows of its connection to one client. */
struct msg_connection {
	struct uuid client_id;
	enum msg_path path; /* GONE: the connection is over, these bytes were its last */
	bool has_rtt;
	u32 rtt_ms; /* of the latest check on the path in use, <= MSG_RTT_MS_MAX */
	u64 rx_bytes, tx_bytes; /* of inner packets, from and to the client, since the last report of it */
};

struct msg_connections_report {
	const struct msg_connection *connections;
	size_t n;
};

struct msg_arena;

struct portal_message {
	enum msg_type type;
	union {
		struct msg_init_client init_client;
		struct msg_init_gateway init_gateway;
		struct msg_interface config_changed;
		struct msg_resource resource;
		struct uuid id;
		struct msg_relays_presence relays_presence;
		struct msg_flow_created flow_created;
		struct msg_flow_creation_failed flow_creation_failed;
		struct msg_ice_candidates candidates;
		struct msg_candidate_error candidate_error;
		struct msg_device_access_authorized device_access_authorized;
		struct msg_device_access_denied device_access_denied;
		struct msg_authorize_flow authorize_flow;
		struct msg_access access;
		struct msg_create_flow create_flow;
		struct ip ipv4;
		struct msg_broadcast broadcast;
		struct msg_flow_authorized flow_authorized;
		struct msg_capabilities capabilities;
		struct msg_connections_report connections_report;
	};
	struct msg_arena *mem; /* of a decoded message */
};

/* The event's name on that wire, NULL when the message does not exist there. */
const char *msg_event(struct msg_wire w, enum msg_type type);
/* A message's name for logs, the same on every wire. */
const char *msg_type_name(enum msg_type type);

/* 0; ERR_NOT_FOUND: no such event on this wire (or a resource of unknown type: ignore it); ERR_MALFORMED; ERR_LIMIT; ERR_NOMEM.
 * `why` (may be NULL) says which member was wrong. On failure *out needs no msg_free(). `payload` may be freed afterwards. */
int msg_decode(struct msg_wire w, const char *event, const struct cJSON *payload, struct portal_message *out,
	       struct json_get *why) MUST_CHECK;
void msg_free(struct portal_message *m);

/* Appends the payload to `o`, as member `key` (NULL: as a bare value). ERR_INVAL: not a message of this wire. */
int msg_encode(struct msg_wire w, const struct portal_message *m, struct json_out *o, const char *key) MUST_CHECK;
