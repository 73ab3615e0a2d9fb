/* Which function of the REST API answers which path: a row for each (http/router.h). */
#include "applets/portal/api/api.h"
#include "applets/portal/http/router.h"

#define READ(path) { METHOD_GET, path, api_list, 0, 0 }, { METHOD_GET, path "/:id", api_show, 0, 0 }
#define CREATE(path) { METHOD_POST, path, api_create, 0, 0 }
#define UPDATE(path) { METHOD_PUT, path "/:id", api_update, 0, 0 }, { METHOD_PATCH, path "/:id", api_update, 0, 0 }
#define DELETE(path) { METHOD_DELETE, path "/:id", api_delete, 0, 0 }
#define ALL(path) READ(path), CREATE(path), UPDATE(path), DELETE(path)

static const struct route routes[] = {
	{ METHOD_GET, "/openapi", api_openapi, 0, 0 },
	{ METHOD_GET, "/swaggerui", api_docs, 0, 0 },
	{ METHOD_GET, "/account", api_account, 0, 0 },
	ALL("/sites"),
	READ("/sites/:site_id/gateways"),
	DELETE("/sites/:site_id/gateways"),
	{ METHOD_POST, "/sites/:site_id/gateway_tokens", api_create_gateway_token, 0, 0 },
	{ METHOD_DELETE, "/sites/:site_id/gateway_tokens", api_delete_tokens, 0, 0 },
	READ("/sites/:site_id/gateway_tokens"),
	DELETE("/sites/:site_id/gateway_tokens"),
	ALL("/resources"),
	{ METHOD_GET, "/resources/:resource_id/pool_members", api_pool_members, 0, 0 },
	{ METHOD_PUT, "/resources/:resource_id/pool_members", api_put_pool_members, 0, 0 },
	{ METHOD_PATCH, "/resources/:resource_id/pool_members", api_patch_pool_members, 0, 0 },
	ALL("/policies"),
	ALL("/groups"),
	{ METHOD_GET, "/groups/:group_id/memberships", api_memberships, 0, 0 },
	{ METHOD_PUT, "/groups/:group_id/memberships", api_put_memberships, 0, 0 },
	{ METHOD_PATCH, "/groups/:group_id/memberships", api_patch_memberships, 0, 0 },
	ALL("/actors"),
	READ("/actors/:actor_id/external_identities"),
	DELETE("/actors/:actor_id/external_identities"),
	READ("/actors/:actor_id/client_tokens"),
	DELETE("/actors/:actor_id/client_tokens"),
	{ METHOD_POST, "/actors/:actor_id/client_tokens", api_create_client_token, 0, 0 },
	{ METHOD_DELETE, "/actors/:actor_id/client_tokens", api_delete_tokens, 0, 0 },
	READ("/clients"),
	UPDATE("/clients"),
	DELETE("/clients"),
	{ METHOD_PUT, "/clients/:id/verify", api_verify, 0, 0 },
	{ METHOD_PUT, "/clients/:id/unverify", api_unverify, 0, 0 },
	{ METHOD_GET, "/client_sessions", api_client_sessions, 0, 0 },
	{ METHOD_GET, "/client_sessions/:id", api_client_session, 0, 0 },
	{ METHOD_GET, "/gateway_sessions", api_gateway_sessions, 0, 0 },
	{ METHOD_GET, "/gateway_sessions/:id", api_gateway_session, 0, 0 },
	READ("/email_otp_auth_providers"),
	READ("/userpass_auth_providers"),
	READ("/oidc_auth_providers"),
	READ("/google_auth_providers"),
	READ("/entra_auth_providers"),
	READ("/okta_auth_providers"),
	READ("/google_directories"),
	READ("/entra_directories"),
	READ("/okta_directories"),
};

const struct area api_area = { AREA_API, routes, ARRAY_LEN(routes), problem_json };
