/* applets/portal/web/views_sites.h: what the pages of sites, gateways, resources and policies show.
 */
#pragma once

#include "applets/portal/model/entity.h"
#include "applets/portal/web/connections.h"

struct site_row {
	const struct site *site;
	const char *href;
	i64 resources, policies;
	u32 gateways, online;
};

struct gateway_row {
	const struct gateway *gateway;
	const char *href;
	bool is_online, is_outdated;
	struct ip remote_ip;	/* of the live connection, or of the last one */
	const char *version;	/* "" = unknown */
};

struct resource_row {
	const struct resource *resource;
	const char *href;
	const char *site, *site_href; /* NULL: none (a pool) */
	const char *groups;	      /* who may reach it: "Everyone, Ops" */
	u32 policies;
};

struct sites_view {
	struct list list;
	const struct form *filters;
	struct site_row *sites;
	u32 n;
	struct site_row internet;
	u32 internet_policies;
};

struct site_view {
	const struct site *site;
	const char *href;
	const char *gateways_href, *new_resource_href, *revoke_href, *edit_href, *delete_href;
	bool is_internet;
	struct gateway_row *gateways;
	u32 n_gateways, n_offline;
	struct resource_row *resources;
	u32 n_resources;
	i64 n_all_resources;
	i64 tokens;
};

struct gateways_view {
	struct list list;
	const struct form *filters;
	struct gateway_row *rows;
	u32 n;
};

/* The page that makes a gateway: commands to paste, waiting for the first that connects. */
struct deploy_view {
	const struct site *site;
	const char *token;   /* NULL: none made yet */
	const char *token_id;
	const char *id;	     /* a fresh FIREZONE_ID */
	const char *api_url;
	const char *action;  /* POST makes a token */
	const char *site_href;
	const char *debian, *openwrt, *docker, *terraform, *plain; /* commands */
};

struct gateway_view {
	const struct gateway *gateway;
	const struct site *site;
	const char *site_href, *delete_href;
	bool is_online;
	struct ip ipv4, ipv6, remote_ip;
	const char *version, *user_agent, *region; /* "" = unknown */
	i64 last_started;
	const struct connections *connections;
	struct paths paths;
};

struct resources_view {
	struct list list;
	struct form *filters;
	struct resource_row *rows;
	u32 n;
};

struct policy_row {
	const struct policy *policy;
	const char *href;
	const char *group, *group_href; /* NULL: the group is gone */
	const char *resource, *resource_href;
	u32 conditions;
};

struct resource_view {
	const struct resource *resource;
	struct resource_row row;
	const char *tcp, *udp; /* "22, 8000-9000", "all"; NULL: nothing of it */
	bool has_icmp;
	const char *new_policy_href, *delete_href;
	struct policy_row *policies;
	u32 n_policies;
	const struct connections *connections;
};

struct policies_view {
	struct list list;
	struct form *filters;
	struct policy_row *rows;
	u32 n;
};

struct policy_view {
	const struct policy *policy;
	struct policy_row row;
	const char *const *conditions; /* in words */
	u32 n_conditions;
	const char *enable_href, *disable_href, *delete_href;
	const struct connections *connections;
};
