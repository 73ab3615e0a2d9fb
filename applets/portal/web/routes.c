/* Which page answers which path: a row for each (http/router.h). */
#include "applets/portal/http/router.h"
#include "applets/portal/web/pages.h"

#define PAGE(pattern, handler) { METHOD_GET, pattern, handler, 0, 0 }
#define POSTS(pattern, handler) { METHOD_POST, pattern, handler, 0, 0 }
#define FORM(pattern, handler) PAGE(pattern, handler), POSTS(pattern, handler)

static const struct route routes[] = {
	PAGE("/:account/sites", page_sites),
	FORM("/:account/sites/new", page_site_new),
	PAGE("/:account/sites/:id", page_site),
	FORM("/:account/sites/:id/edit", page_site_edit),
	FORM("/:account/sites/:id/delete", page_site_delete),
	PAGE("/:account/sites/:id/gateways", page_site_gateways),
	FORM("/:account/sites/:id/new_token", page_site_deploy),
	POSTS("/:account/sites/:id/revoke_tokens", page_site_revoke),
	PAGE("/:account/gateways/:id", page_gateway),
	FORM("/:account/gateways/:id/delete", page_gateway_delete),
	PAGE("/:account/resources", page_resources),
	FORM("/:account/resources/new", page_resource_new),
	PAGE("/:account/resources/:id", page_resource),
	FORM("/:account/resources/:id/edit", page_resource_edit),
	FORM("/:account/resources/:id/delete", page_resource_delete),
	PAGE("/:account/policies", page_policies),
	FORM("/:account/policies/new", page_policy_new),
	PAGE("/:account/policies/:id", page_policy),
	FORM("/:account/policies/:id/edit", page_policy_edit),
	POSTS("/:account/policies/:id/enable", page_policy_switch),
	POSTS("/:account/policies/:id/disable", page_policy_switch),
	FORM("/:account/policies/:id/delete", page_policy_delete),
	PAGE("/:account/clients", page_clients),
	PAGE("/:account/clients/:id", page_client),
	FORM("/:account/clients/:id/edit", page_client_edit),
	POSTS("/:account/clients/:id/verify", page_client_verify),
	POSTS("/:account/clients/:id/unverify", page_client_unverify),
	FORM("/:account/clients/:id/delete", page_client_delete),
};

const struct area web_area = { AREA_WEB, routes, ARRAY_LEN(routes), page_problem };
