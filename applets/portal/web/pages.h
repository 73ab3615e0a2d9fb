/* applets/portal/web/pages.h: the handlers of all pages, for routes.c; and what pages of different files share.
 */
#pragma once

#include "applets/portal/web/web.h"

/* pages_sites.c */
void page_sites(struct exchange *x);
void page_site_new(struct exchange *x);
void page_site(struct exchange *x);
void page_site_edit(struct exchange *x);
void page_site_delete(struct exchange *x);
void page_site_gateways(struct exchange *x);
void page_site_deploy(struct exchange *x);
void page_site_revoke(struct exchange *x);
void page_gateway(struct exchange *x);
void page_gateway_delete(struct exchange *x);

/* pages_resources.c */
void page_resources(struct exchange *x);
void page_resource_new(struct exchange *x);
void page_resource(struct exchange *x);
void page_resource_edit(struct exchange *x);
void page_resource_delete(struct exchange *x);

struct resource;
/* With its site and who may reach it. */
struct resource_row resource_row(struct web *w, const struct resource *r);

struct policy;
struct policy_row policy_row(struct web *w, const struct policy *p);
/* "Engineers → Intranet" */
const char *policy_name(struct web *w, const struct policy *p);

/* pages_policies.c */
void page_policies(struct exchange *x);
void page_policy_new(struct exchange *x);
void page_policy(struct exchange *x);
void page_policy_edit(struct exchange *x);
void page_policy_enable(struct exchange *x);
void page_policy_disable(struct exchange *x);
void page_policy_delete(struct exchange *x);

struct undo;
/* Everything of it, to make it again (`href` NULL), or to have it as it was. */
struct undo resource_undo(struct web *w, const struct resource *r, const char *href);
struct undo policy_undo(struct web *w, const struct policy *p, const char *href);
struct group;
struct undo group_undo(struct web *w, const struct group *g);

/* pages_clients.c */
void page_clients(struct exchange *x);
void page_client(struct exchange *x);
void page_client_edit(struct exchange *x);
void page_client_verify(struct exchange *x);
void page_client_unverify(struct exchange *x);
void page_client_delete(struct exchange *x);

struct client;
struct client_row client_row(struct web *w, const struct client *c);

/* pages_people.c */
void page_actors(struct exchange *x);
void page_actor_new(struct exchange *x);
void page_actor(struct exchange *x);
void page_actor_edit(struct exchange *x);
void page_actor_enable(struct exchange *x);
void page_actor_disable(struct exchange *x);
void page_actor_delete(struct exchange *x);
void page_actor_token(struct exchange *x);
void page_actor_link(struct exchange *x);
void page_actor_welcome(struct exchange *x);
void page_actor_sign_out(struct exchange *x);
void page_actor_token_revoke(struct exchange *x);
void page_actor_session_revoke(struct exchange *x);
void page_actor_identity_delete(struct exchange *x);
void page_actor_credential_delete(struct exchange *x);

struct actor;
struct actor_row actor_row(struct web *w, const struct actor *a);

/* pages_groups.c */
void page_groups(struct exchange *x);
void page_group_new(struct exchange *x);
void page_group(struct exchange *x);
void page_group_edit(struct exchange *x);
void page_group_delete(struct exchange *x);
void page_member_remove(struct exchange *x);

/* pages_settings.c */
enum settings_tab { SETTINGS_ACCOUNT, SETTINGS_SIGN_IN, SETTINGS_DIRECTORIES, SETTINGS_DNS, SETTINGS_API, SETTINGS_MAIL };
/* The tabs of all settings pages; the page is titled by the current one. */
struct settings_tabs settings_tabs(struct web *w, enum settings_tab current);

void page_settings_account(struct exchange *x);
void page_settings_account_edit(struct exchange *x);
void page_settings_dns(struct exchange *x);
void page_settings_mail(struct exchange *x);
void page_settings_mail_test(struct exchange *x);
void page_settings_mail_retry(struct exchange *x);
void page_api_clients(struct exchange *x);
void page_api_client_new(struct exchange *x);
void page_api_client(struct exchange *x);
void page_api_client_edit(struct exchange *x);
void page_api_client_enable(struct exchange *x);
void page_api_client_disable(struct exchange *x);
void page_api_client_delete(struct exchange *x);
void page_api_token_revoke(struct exchange *x);

/* pages_providers.c */
void page_providers(struct exchange *x);
void page_provider_types(struct exchange *x);
void page_provider_new(struct exchange *x);
void page_provider_edit(struct exchange *x);
void page_provider_enable(struct exchange *x);
void page_provider_disable(struct exchange *x);
void page_provider_revoke(struct exchange *x);
void page_provider_default(struct exchange *x);
void page_provider_no_default(struct exchange *x);
void page_provider_delete(struct exchange *x);

/* undo.c, bulk.c */
void page_undo(struct exchange *x);
void page_selected(struct exchange *x);

/* pages_find.c */
void page_search(struct exchange *x);
void page_live(struct exchange *x);

/* pages_overview.c */
void page_overview(struct exchange *x);

/* pages_activity.c */
void page_activity(struct exchange *x);
void page_activity_export(struct exchange *x);
void page_traffic(struct exchange *x);
void page_relays(struct exchange *x);
void page_why(struct exchange *x);

/* pages_directories.c */
void page_directories(struct exchange *x);
void page_directory_new(struct exchange *x);
void page_directory_edit(struct exchange *x);
void page_directory_sync(struct exchange *x);
void page_directory_enable(struct exchange *x);
void page_directory_disable(struct exchange *x);
void page_directory_delete(struct exchange *x);
