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

/* pages_policies.c */
void page_policies(struct exchange *x);
void page_policy_new(struct exchange *x);
void page_policy(struct exchange *x);
void page_policy_edit(struct exchange *x);
void page_policy_switch(struct exchange *x);
void page_policy_delete(struct exchange *x);
