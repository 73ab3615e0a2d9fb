/* Every noun and verb with its options and examples: the command line and the socket both go by this. */
#include "applets/portal/admin/table.h"

static const struct opt_def o_list[] = { ACCOUNT, JSON };
static const struct opt_def o_json[] = { JSON };

/* ---- account ---- */

#define LIMITS                                                                                                     \
	TEXT("limit-users", limit_users, "N|none", "most users"),                                                  \
		TEXT("limit-service-accounts", limit_service_accounts, "N|none", "most service accounts"),         \
		TEXT("limit-sites", limit_sites, "N|none", "most sites"), TEXT("limit-admins", limit_admins, "N|none", "most admins"),               \
		TEXT("limit-monthly-active-users", limit_active_users, "N|none", "most users with a session within a month"),               \
		TEXT("limit-api-clients", limit_api_clients, "N|none", "most API clients"),                        \
		TEXT("limit-api-tokens-per-client", limit_api_tokens, "N|none", "most tokens of an API client"),   \
		TEXT("api-refill-rate", api_refill_rate, "N|none", "tokens a second of the REST API; a request costs 10"),                     \
		TEXT("api-capacity", api_capacity, "N|none", "most tokens of the REST API at once"),               \
		TEXT("policy-conditions", policy_conditions, "on|off", "whether policies may have conditions"),    \
		TEXT("traffic-filters", traffic_filters, "on|off", "whether resources may have filters"),          \
		TEXT("idp-sync", idp_sync, "on|off", "whether directories are synced"),                            \
		TEXT("rest-api", rest_api, "on|off", "whether the REST API answers"),                              \
		TEXT("internet-resource", internet_resource, "on|off", "whether the internet can be a resource"),  \
		TEXT("notify-outdated-gateway", notify_outdated_gateway, "on|off", "mails to admins about outdated gateways"),                 \
		TEXT("client-to-client", client_to_client, "on|off", "whether clients may reach devices of pools; off when never given")
#define DNS                                                                                                        \
	TEXT("search-domain", search_domain, "DOMAIN", "appended by clients to single-label names"),               \
		TEXT("dns", dns, "KIND", "upstream resolvers of clients: system, secure:google|opendns|cloudflare|quad9, custom:IP,IP")

static const struct opt_def o_account_add[] = {
	NEEDED("name", name, "NAME", "what it is called"),
	TEXT("slug", slug, "SLUG", "short name in addresses: letters, digits, _"),
	TEXT("legal-name", legal_name, "NAME", "of the company"),
	TEXT("admin-email", admin_email, "ADDRESS", "makes a first admin"),
	TEXT("admin-name", admin_name, "NAME", "his or her name"),
	DNS,
	LIMITS,
	JSON,
};
static const struct opt_def o_account_update[] = { { "target", 0, NULL, OPT_STR, A(target), .meta = "SLUG", .help = "which, when there are several", .flags = OPT_POSITIONAL }, TEXT("name", name, "NAME", "new name"), TEXT("slug", slug, "SLUG", "new short name"), TEXT("legal-name", legal_name, "NAME", "of the company"),
						   DNS, LIMITS, JSON };
static const struct opt_def o_account_target[] = { TARGET("SLUG"), JSON };
static const struct opt_def o_account_disable[] = { TARGET("SLUG"), TEXT("reason", reason, "TEXT", "shown to its admins"), JSON };

static const struct verb v_account[] = {
	OPERATORS("add", "make an account with its Everyone group, a first site and the Internet site", run_account_add, o_account_add,
	     "  emberbox portal account add --name 'Acme' --admin-email jo@acme.example\n"),
	READS("list", "all accounts", run_list, o_json, "  emberbox portal account list\n"),
	READS("show", "one account", run_show, o_account_target, "  emberbox portal account show acme\n"),
	VERB("update", "change name, DNS or limits; connected clients learn of it at once", run_account_update, o_account_update,
	     "  emberbox portal account update acme --dns custom:9.9.9.9,2620:fe::fe --search-domain corp.acme.example\n"),
	OPERATORS("disable", "end all sessions and revoke all access", run_account_disable, o_account_disable,
	     "  emberbox portal account disable acme\n"),
	OPERATORS("enable", "undo disable; clients need new tokens", run_account_enable, o_account_target, "  emberbox portal account enable acme\n"),
	OPERATORS("delete", "delete it with everything in it", run_delete, o_account_target, "  emberbox portal account delete acme\n"),
};

/* ---- actor ---- */

#define EMAIL_OTP TEXT("allow-email-otp-sign-in", email_otp, "on|off", "whether codes sent by mail are enough to sign in")

static const struct opt_def o_actor_add[] = {
	TEXT("name", name, "NAME", "what it is called (users: the e-mail address when not given)"),
	TEXT("email", email, "ADDRESS", "of a user or admin"),
	{ "type", 0, NULL, OPT_STR, A(type), .meta = "TYPE", .dflt = "user", .help = "user, admin, service-account, api-client" },
	EMAIL_OTP,
	ACCOUNT,
	JSON,
};
static const struct opt_def o_actor_update[] = { TARGET("ACTOR"), TEXT("name", name, "NAME", "new name"),
						 TEXT("email", email, "ADDRESS", "new e-mail address"),
						 TEXT("type", type, "TYPE", "user or admin"), EMAIL_OTP, ACCOUNT, JSON };
static const struct opt_def o_actor_list[] = { TEXT("type", type, "TYPE", "only these"), ACCOUNT, JSON };
static const struct opt_def o_actor_target[] = { TARGET("ACTOR"), ACCOUNT, JSON };

static const struct verb v_actor[] = {
	VERB("add", "make a user, an admin or a service account", run_actor_add, o_actor_add,
	     "  emberbox portal actor add --email jo@acme.example --name Jo\n"
	     "  emberbox portal actor add --type service-account --name backup\n"),
	READS("list", "all actors", run_list, o_actor_list, "  emberbox portal actor list --json\n"),
	READS("show", "one actor", run_show, o_actor_target, "  emberbox portal actor show jo@acme.example\n"),
	VERB("update", "change name, address or role", run_actor_update, o_actor_update,
	     "  emberbox portal actor update jo@acme.example --type admin\n"),
	VERB("disable", "end its sessions and refuse new ones", run_actor_disable, o_actor_target,
	     "  emberbox portal actor disable jo@acme.example\n"),
	VERB("enable", "undo disable; it needs new tokens", run_actor_enable, o_actor_target,
	     "  emberbox portal actor enable jo@acme.example\n"),
	VERB("delete", "delete it with its clients and tokens", run_delete, o_actor_target,
	     "  emberbox portal actor delete jo@acme.example\n"),
};

/* ---- group, member ---- */

static const struct opt_def o_group_add[] = { NEEDED("name", name, "NAME", "what it is called"), ACCOUNT, JSON };
static const struct opt_def o_group_update[] = { TARGET("GROUP"), NEEDED("name", name, "NAME", "new name"), ACCOUNT, JSON };
static const struct opt_def o_group_target[] = { TARGET("GROUP"), ACCOUNT, JSON };

#define COMERS(what)                                                                                                    \
	{ "add", 0, NULL, OPT_LIST, A(add), .meta = what, .help = "instead: who comes, who is in it stays; repeatable" }, \
		{ "remove", 0, NULL, OPT_LIST, A(remove), .meta = what, .help = "instead: who goes; repeatable" }

static const struct opt_def o_group_set[] = {
	TARGET("GROUP"),
	{ "member", 0, NULL, OPT_LIST, A(member), .meta = "ACTOR", .help = "id or e-mail address; repeatable; none empties the group" },
	COMERS("ACTOR"),
	ACCOUNT,
	JSON,
};

static const struct verb v_group[] = {
	VERB("add", "make a group", run_group_add, o_group_add, "  emberbox portal group add --name Engineers\n"),
	READS("list", "all groups", run_list, o_list, "  emberbox portal group list\n"),
	READS("show", "one group", run_show, o_group_target, "  emberbox portal group show Engineers\n"),
	VERB("update", "rename it", run_group_update, o_group_update, "  emberbox portal group update Engineers --name Makers\n"),
	VERB("set-members", "let these be its members, and nobody else", run_group_set_members, o_group_set,
	     "  emberbox portal group set-members Engineers --member jo@acme.example --member sam@acme.example\n"),
	VERB("delete", "delete it; its policies then grant nothing", run_delete, o_group_target, "  emberbox portal group delete Engineers\n"),
};

static const struct opt_def o_member[] = { NEEDED("group", group, "GROUP", "id or name"), NEEDED("actor", actor, "ACTOR", "id, name or e-mail address"),
					   ACCOUNT, JSON };
static const struct opt_def o_member_list[] = { NEEDED("group", group, "GROUP", "id or name"), ACCOUNT, JSON };

static const struct verb v_member[] = {
	VERB("add", "put an actor into a group", run_member_add, o_member,
	     "  emberbox portal member add --group Engineers --actor jo@acme.example\n"),
	READS("list", "who is in a group", run_member_list, o_member_list, "  emberbox portal member list --group Everyone\n"),
	VERB("delete", "take an actor out of a group", run_member_remove, o_member,
	     "  emberbox portal member delete --group Engineers --actor jo@acme.example\n"),
};

/* ---- site ---- */

static const struct opt_def o_site_add[] = { NEEDED("name", name, "NAME", "what it is called"), ACCOUNT, JSON };
static const struct opt_def o_site_update[] = { TARGET("SITE"), NEEDED("name", name, "NAME", "new name"), ACCOUNT, JSON };
static const struct opt_def o_site_target[] = { TARGET("SITE"), ACCOUNT, JSON };

static const struct verb v_site[] = {
	VERB("add", "make a site: a place with gateways and what they reach", run_site_add, o_site_add,
	     "  emberbox portal site add --name Berlin\n"),
	READS("list", "all sites", run_list, o_list, "  emberbox portal site list\n"),
	READS("show", "one site", run_show, o_site_target, "  emberbox portal site show Berlin\n"),
	VERB("update", "rename it", run_site_update, o_site_update, "  emberbox portal site update Berlin --name Hamburg\n"),
	VERB("delete", "delete it with its gateways, tokens and resources", run_delete, o_site_target, "  emberbox portal site delete Berlin\n"),
};

/* ---- resource ---- */

#define RESOURCE_OPTIONS                                                                                                         \
	TEXT("name", name, "NAME", "what it is called; the address when not given"),                                            \
		TEXT("type", type, "TYPE", "dns, cidr or ip; guessed from the address when not given"),                         \
		TEXT("description", description, "TEXT", "shown to users beside the address"),                                  \
		TEXT("ip-stack", ip_stack, "STACK", "of a dns resource: dual, ipv4-only, ipv6-only"),                           \
		{ "filter", 0, NULL, OPT_LIST, A(filter), .meta = "PROTO[:PORTS]",                                              \
		  .help = "let only this through, e.g. tcp:22,8000-9000, udp:53, icmp; repeatable" }

static const struct opt_def o_resource_add[] = { NEEDED("site", site, "SITE", "where it is: id or name"),
						 NEEDED("address", address, "ADDRESS", "a name with or without wildcards, an address or a network"),
						 RESOURCE_OPTIONS, ACCOUNT, JSON };
static const struct opt_def o_resource_update[] = {
	TARGET("RESOURCE"),
	TEXT("site", site, "SITE", "move it there"),
	TEXT("address", address, "ADDRESS", "new address; running connections to the old one end"),
	RESOURCE_OPTIONS,
	{ "no-filters", 0, NULL, OPT_FLAG, A(no_filters), .help = "let everything through" },
	ACCOUNT,
	JSON,
};
static const struct opt_def o_resource_target[] = { TARGET("RESOURCE"), ACCOUNT, JSON };

static const struct verb v_resource[] = {
	VERB("add", "make a resource: something behind the gateways of a site", run_resource_add, o_resource_add,
	     "  emberbox portal resource add --site Berlin --address 10.9.0.0/24 --name lab\n"
	     "  emberbox portal resource add --site Berlin --address '*.corp.acme.example' --filter tcp:443 --filter icmp\n"),
	READS("list", "all resources", run_list, o_list, "  emberbox portal resource list --json\n"),
	READS("show", "one resource", run_show, o_resource_target, "  emberbox portal resource show lab\n"),
	VERB("update", "change it; connected clients and gateways learn of it at once", run_resource_update, o_resource_update,
	     "  emberbox portal resource update lab --filter tcp:22\n"),
	VERB("delete", "delete it with its policies", run_delete, o_resource_target, "  emberbox portal resource delete lab\n"),
};

/* ---- pool ---- */

static const struct opt_def o_pool_add[] = { NEEDED("name", name, "NAME", "what it is called"), TEXT("description", description, "TEXT", "for the operators"),
					     ACCOUNT, JSON };
static const struct opt_def o_pool_member[] = { TARGET("POOL"), NEEDED("client", client, "CLIENT", "id or name of the device"), ACCOUNT, JSON };
static const struct opt_def o_pool_target[] = { TARGET("POOL"), ACCOUNT, JSON };
static const struct opt_def o_pool_set[] = {
	TARGET("POOL"),
	{ "member", 0, NULL, OPT_LIST, A(member), .meta = "CLIENT", .help = "id or name of a device; repeatable; none empties the pool" },
	COMERS("CLIENT"),
	ACCOUNT,
	JSON,
};

static const struct verb v_pool[] = {
	VERB("add", "make a pool; grant it with a policy, as any resource; delete it with resource delete", run_pool_add, o_pool_add,
	     "  emberbox portal account update --client-to-client on\n"
	     "  emberbox portal pool add --name Printers\n"
	     "  emberbox portal pool join Printers --client print-server\n"
	     "  emberbox portal policy add --group Everyone --resource Printers\n"),
	VERB("join", "put a device into a pool: who may use the pool may reach it", run_pool_join, o_pool_member,
	     "  emberbox portal pool join Printers --client print-server\n"),
	VERB("leave", "take a device out of a pool; connections that nothing else allows end at once", run_pool_leave, o_pool_member,
	     "  emberbox portal pool leave Printers --client print-server\n"),
	VERB("set-members", "let these devices be in it, and no others", run_pool_set_members, o_pool_set,
	     "  emberbox portal pool set-members Printers --member print-server --member plotter\n"),
	READS("members", "the devices of a pool", run_pool_members, o_pool_target, "  emberbox portal pool members Printers\n"),
};

/* ---- policy ---- */

#define POLICY_OPTIONS                                                                                                          \
	TEXT("description", description, "TEXT", "for the operators"),                                                          \
		{ "condition", 0, NULL, OPT_LIST, A(condition), .meta = "'PROPERTY OPERATOR VALUE…'",                           \
		  .help = "holds only if; repeatable. Properties: remote_ip_location_region is_in|is_not_in DE; remote_ip "     \
			  "is_in_cidr|is_not_in_cidr 10.0.0.0/8; auth_provider_id is_in|is_not_in ID; current_utc_datetime "    \
			  "is_in_day_of_week_time_ranges M/9:00-17:00/Europe/Berlin; client_verified is true" }

static const struct opt_def o_policy_add[] = { NEEDED("group", group, "GROUP", "who: id or name"), NEEDED("resource", resource, "RESOURCE", "what: id or name"),
					       POLICY_OPTIONS, { "disabled", 0, NULL, OPT_FLAG, A(disabled), .help = "grants nothing until it is enabled" },
					       ACCOUNT, JSON };
static const struct opt_def o_policy_update[] = {
	TARGET("POLICY"),
	TEXT("group", group, "GROUP", "who"),
	TEXT("resource", resource, "RESOURCE", "what"),
	POLICY_OPTIONS,
	{ "no-conditions", 0, NULL, OPT_FLAG, A(no_conditions), .help = "holds always" },
	ACCOUNT,
	JSON,
};
static const struct opt_def o_policy_target[] = { TARGET("POLICY"), ACCOUNT, JSON };

static const struct verb v_policy[] = {
	VERB("add", "let a group use a resource", run_policy_add, o_policy_add,
	     "  emberbox portal policy add --group Everyone --resource lab\n"
	     "  emberbox portal policy add --group Engineers --resource lab --condition 'remote_ip is_in_cidr 198.51.100.0/24'\n"),
	READS("list", "all policies", run_list, o_list, "  emberbox portal policy list\n"),
	READS("show", "one policy", run_show, o_policy_target, "  emberbox portal policy show 0b8c1d2e-0000-4000-8000-000000000001\n"),
	VERB("update", "change it; access that no longer holds ends at once", run_policy_update, o_policy_update,
	     "  emberbox portal policy update 0b8c1d2e-0000-4000-8000-000000000001 --no-conditions\n"),
	VERB("disable", "revoke what it grants", run_policy_disable, o_policy_target,
	     "  emberbox portal policy disable 0b8c1d2e-0000-4000-8000-000000000001\n"),
	VERB("enable", "grant again", run_policy_enable, o_policy_target,
	     "  emberbox portal policy enable 0b8c1d2e-0000-4000-8000-000000000001\n"),
	VERB("delete", "delete it", run_delete, o_policy_target, "  emberbox portal policy delete 0b8c1d2e-0000-4000-8000-000000000001\n"),
};

/* ---- token ---- */

static const struct opt_def o_token_add[] = {
	TEXT("actor", actor, "ACTOR", "for a client of this user or service account"),
	TEXT("site", site, "SITE", "for the gateways of this site"),
	{ "relay", 0, NULL, OPT_FLAG, A(relay), .help = "for relays" },
	TEXT("name", name, "NAME", "to tell it from others"),
	TEXT("expires", expires, "DATE|SPAN", "of a client's token: 2027-01-31 or 90d; a year when not given"),
	ACCOUNT,
	JSON,
};
static const struct opt_def o_token_delete_all[] = {
	TEXT("actor", actor, "ACTOR", "those of its clients"),
	TEXT("site", site, "SITE", "those of its gateways"),
	ACCOUNT,
	JSON,
};
static const struct opt_def o_token_target[] = { TARGET("ID"), ACCOUNT, JSON };

static const struct verb v_token[] = {
	VERB("add", "make a token and show it, this once", run_token_add, o_token_add,
	     "  emberbox portal token add --actor backup --expires 90d\n"
	     "  emberbox portal token add --site Berlin\n"
	     "  emberbox portal token add --relay --json\n"),
	READS("list", "all tokens, without their secrets", run_token_list, o_list, "  emberbox portal token list\n"),
	VERB("delete", "revoke it; who uses it is disconnected at once", run_token_delete, o_token_target,
	     "  emberbox portal token delete 0b8c1d2e-0000-4000-8000-000000000001\n"),
	VERB("delete-all", "revoke all of a site or an actor; who uses them is disconnected at once", run_token_delete_all,
	     o_token_delete_all, "  emberbox portal token delete-all --site Berlin\n"),
};

/* ---- client, gateway, status ---- */

static const struct opt_def o_device_update[] = { TARGET("DEVICE"), NEEDED("name", name, "NAME", "new name"), ACCOUNT, JSON };
static const struct opt_def o_device_target[] = { TARGET("DEVICE"), ACCOUNT, JSON };

static const struct verb v_client[] = {
	READS("list", "all clients, and who is online", run_list, o_list, "  emberbox portal client list\n"),
	READS("show", "one client", run_show, o_device_target, "  emberbox portal client show laptop\n"),
	VERB("update", "rename it", run_client_update, o_device_update, "  emberbox portal client update laptop --name old-laptop\n"),
	VERB("verify", "mark it as verified, as policies may demand", run_client_verify, o_device_target, "  emberbox portal client verify laptop\n"),
	VERB("unverify", "undo verify", run_client_unverify, o_device_target, "  emberbox portal client unverify laptop\n"),
	VERB("delete", "forget it; with a valid token it comes back as a new one", run_delete, o_device_target,
	     "  emberbox portal client delete laptop\n"),
};

static const struct verb v_gateway[] = {
	READS("list", "all gateways, and which are online", run_list, o_list, "  emberbox portal gateway list --json\n"),
	READS("show", "one gateway", run_show, o_device_target, "  emberbox portal gateway show gw1\n"),
	VERB("update", "rename it", run_gateway_update, o_device_update, "  emberbox portal gateway update gw1 --name rack-3\n"),
	VERB("delete", "forget it; with a valid token it comes back as a new one", run_delete, o_device_target,
	     "  emberbox portal gateway delete gw1\n"),
};

static const struct verb v_status[] = {
	OPERATORS("show", "who is connected, and what happened since the start", run_status_show, o_json, "  emberbox portal status show\n"),
};

#define NOUN(word, text, k, api, list) { word, text, k, api, list, ARRAY_LEN(list) }

const struct noun nouns[] = {
	NOUN("account", "accounts: everything else belongs to one", KIND_ACCOUNT, API_READS, v_account),
	NOUN("actor", "users, admins, service accounts", KIND_ACTOR, API_ALL, v_actor),
	NOUN("group", "groups of actors", KIND_GROUP, API_ALL, v_group),
	NOUN("member", "who is in which group", KIND_MEMBERSHIP, API_ALL, v_member),
	NOUN("site", "places with gateways", KIND_SITE, API_ALL, v_site),
	NOUN("resource", "what can be reached", KIND_RESOURCE, API_ALL, v_resource),
	NOUN("pool", "devices that clients may reach directly", KIND_RESOURCE, API_ALL, v_pool),
	NOUN("policy", "which group may reach what", KIND_POLICY, API_ALL, v_policy),
	NOUN("token", "what clients, gateways and relays prove themselves with", KIND_CLIENT_TOKEN, API_ALL, v_token),
	NOUN("client", "devices of users", KIND_CLIENT, API_ALL, v_client),
	NOUN("gateway", "gateways of sites", KIND_GATEWAY, API_ALL, v_gateway),
	NOUN("provider", "ways to sign in", KIND_AUTH_PROVIDER, API_READS, v_provider),
	NOUN("identity", "who actors are at identity providers", KIND_IDENTITY, API_ALL, v_identity),
	NOUN("session", "who is signed in", KIND_PORTAL_SESSION, API_NOTHING, v_session),
	NOUN("credential", "passkeys, passwords and recovery codes", KIND_CREDENTIAL, API_NOTHING, v_credential),
	NOUN("link", "links that work once: set-up, invitation, recovery", KIND_LINK, API_NOTHING, v_link),
	NOUN("api-client", "programs that use the REST API", KIND_ACTOR, API_NOTHING, v_api_client),
	NOUN("api-token", "what API clients prove themselves with", KIND_API_TOKEN, API_NOTHING, v_api_token),
	NOUN("directory", "where people and groups are copied from", KIND_DIRECTORY, API_READS, v_directory),
	NOUN("mail", "mails on their way", KIND_MAIL, API_NOTHING, v_mail),
	NOUN("audit", "who changed what", KIND_ACCOUNT, API_NOTHING, v_audit),
	NOUN("status", "the serving portal", KIND_ACCOUNT, API_NOTHING, v_status),
};
const u32 n_nouns = ARRAY_LEN(nouns);
