/* Sites: where the gateways stand (spec 60 §9). */
#include "applets/portal/web/pages.h"
#include "applets/portal/web/undo.h"
#include "applets/portal/web/views_sites.h"

#include "applets/portal/model/directory.h"
#include "applets/portal/model/pool.h"
#include "applets/portal/model/version.h"
#include "applets/portal/web/templates.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_SHOWN 20u

static const struct directory *dir_of(const struct web *w)
{
	return hub_directory(w->x->portal->hub);
}

/* ---- the list ----------------------------------------------------------------------------------------------------------------------- */

struct counting {
	struct sites_view *v;
	i64 of_internet;
	enum store_tally what;
};

static struct site_row *row_of(struct sites_view *v, const struct uuid *id)
{
	for (u32 i = 0; i < v->n; i++)
		if (uuid_eq(&v->sites[i].site->e.id, id))
			return &v->sites[i];
	return v->internet.site && uuid_eq(&v->internet.site->e.id, id) ? &v->internet : NULL;
}

static int take_tally(void *ctx, const struct uuid *parent, i64 n)
{
	struct counting *c = ctx;
	struct site_row *r = row_of(c->v, parent);

	if (!r)
		return 0;
	if (c->what == TALLY_RESOURCES_OF_SITE)
		r->resources = n;
	else if (c->what == TALLY_POLICIES_OF_SITE)
		r->policies = n;
	else
		r->gateways = (u32)n;
	return 0;
}

static int take_online(void *ctx, const struct hub_presence *p)
{
	struct site_row *r = row_of(ctx, &p->owner_id);

	if (r)
		r->online++;
	return 0;
}

/* `l` holds the cursors that the view shows. */
static bool load_sites(struct web *w, struct web_list *l, struct sites_view *v, struct form *filters)
{
	static const struct column columns[] = { { .label = "Site", .sort = "name" }, { .label = "Gateways" }, { .label = "Resources", .is_number = true },
						 { .label = "Policies", .is_number = true } };
	static const enum store_tally tallies[] = { TALLY_RESOURCES_OF_SITE, TALLY_POLICIES_OF_SITE, TALLY_GATEWAYS_OF_SITE };
	u32 n;
	void *const *all = directory_all(dir_of(w), KIND_SITE, &w->account->e.id, &n);
	int rc;

	web_list_begin(w, l, KIND_SITE, "sites", web_path(w, "/sites"), columns, ARRAY_LEN(columns), filters, NULL, 0);
	if (!l->query.sort)
		l->query.sort = l->list.sort = "name";
	l->query.filters[l->query.n_filters++] = (struct store_filter){ "managed_by", FILTER_IS, "account" };
	if (!web_list_load(w, l))
		return false;
	v->list = l->list;
	v->filters = filters;
	v->sites = exchange_alloc(w->x, (l->n + 1) * sizeof(*v->sites));
	rc = v->sites ? 0 : ERR_NOMEM;
	for (u32 i = 0; !rc && i < l->n; i++) {
		const struct site *s = l->rows[i];
		v->sites[v->n++] = (struct site_row){ .site = s, .href = web_path(w, "/sites/%s", web_id(w, &s->e.id)) };
	}
	for (u32 i = 0; !rc && i < n; i++)
		if (((const struct site *)all[i])->managed_by == MANAGED_BY_SYSTEM) {
			const struct site *s = web_keep(w, KIND_SITE, all[i]);
			rc = s ? 0 : ERR_NOMEM;
			v->internet = (struct site_row){ .site = s, .href = s ? web_path(w, "/sites/%s", web_id(w, &s->e.id)) : NULL };
			break;
		}
	for (size_t i = 0; !rc && i < ARRAY_LEN(tallies); i++)
		rc = store_tally(w->x->portal->store, tallies[i], &w->account->e.id, take_tally, &(struct counting){ .v = v, .what = tallies[i] });
	if (rc) {
		web_store_failed(w);
		return false;
	}
	(void)hub_each(w->x->portal->hub, MSG_ROLE_GATEWAY, &w->account->e.id, take_online, v);
	return true;
}

void page_sites(struct exchange *x)
{
	struct form_field fields[] = { { .name = "q", .label = "Name" } };
	struct form f = { FORM_FIELDS(fields) };
	struct sites_view v = { .n = 0 };
	struct web_list l;
	struct web w;

	if (!web_begin(&w, x, SECTION_SITES))
		return;
	w.page.lead = "A site is a place with gateways: an office, a rack, a cloud. Resources are reached through the gateways of their site.";
	w.page.action = "New site";
	w.page.action_href = web_path(&w, "/sites/new");
	w.page.live_topics = "gateways,sites";
	if (load_sites(&w, &l, &v, &f)) {
		template_sites(&x->out, &w.page, &v);
		web_send(&w, 200);
	}
	web_end(&w);
}

/* ---- making and changing ------------------------------------------------------------------------------------------------------------ */

static void site_form(struct exchange *x, bool is_new)
{
	struct form_field fields[] = { { .name = "name", .label = "Name", .help = "An office, a data centre, a cloud region.", .placeholder = "Berlin", .max = 64, .is_required = true, .is_focused = true } };
	struct form f = { .submit = is_new ? "Create site" : "Save name", FORM_FIELDS(fields) };
	const struct site *site = NULL;
	struct web w;

	if (!web_begin(&w, x, SECTION_SITES))
		return;
	if (!is_new)
		site = web_get(&w, KIND_SITE, 1);
	if (is_new || site) {
		const char *list = web_path(&w, "/sites");
		f.cancel_href = site ? web_text(&w, "%s/%s", list, web_id(&w, &site->e.id)) : list;
		f.action = web_text(&w, "%s/%s", f.cancel_href, site ? "edit" : "new");
		form_set(&f, "name", site ? site->name : NULL);
		f.updated_at = site ? site->e.updated_at : 0;
		page_crumb(&w.page, "Sites", list);
		if (site)
			page_crumb(&w.page, site->name, f.cancel_href);
		w.page.title = site ? "Rename site" : "New site";
		w.page.lead = site ? NULL : "Give the place a name that people recognise. The gateway comes next.";
		web_edit(&w, &(struct web_edit){ .kind = KIND_SITE,
						 .noun = "site",
						 .id = site ? &site->e.id : NULL,
						 .form = &f,
						 .done = site ? "The site is renamed." : "The site is made. Now it needs a gateway.",
						 .href = site ? f.cancel_href : web_path(&w, "/sites/"),
						 .then = "/new_token" });
	}
	web_end(&w);
}

void page_site_new(struct exchange *x)
{
	site_form(x, true);
}

void page_site_edit(struct exchange *x)
{
	site_form(x, false);
}

/* ---- one site ----------------------------------------------------------------------------------------------------------------------- */

static struct gateway_row gateway_row(struct web *w, const struct gateway *gw)
{
	struct gateway_row row = { .gateway = gw, .href = web_path(w, "/gateways/%s", web_id(w, &gw->d.e.id)), .version = "" };
	struct hub_presence p;
	struct store_session last;

	row.is_online = hub_presence_of(w->x->portal->hub, KIND_GATEWAY, &w->account->e.id, &gw->d.e.id, &p);
	if (row.is_online) {
		row.remote_ip = p.remote_ip;
		row.version = web_text(w, "%s", p.version);
	} else if (store_latest_gateway_session(w->x->portal->store, &w->account->e.id, &gw->d.e.id, &last) == 0) {
		(void)ip_parse(SPAN(last.remote_ip, strlen(last.remote_ip)), &row.remote_ip);
		row.version = web_text(w, "%s", last.version);
	}
	struct version v = version_read(row.version);
	row.is_outdated = version_is_outdated(&v);
	return row;
}

static bool keep_online(void *ctx, const struct uuid *id)
{
	return web_is_online(ctx, KIND_GATEWAY, id);
}

/* Those that are online, however many were here once. */
static bool load_gateways(struct web *w, struct site_view *v)
{
	struct web_list l;
	const char *id = web_id(w, &v->site->e.id);
	i64 all;

	web_list_begin(w, &l, KIND_GATEWAY, "gateways", v->href, NULL, 0, NULL, NULL, 0);
	l.query.cursor = NULL;
	l.query.limit = STORE_PAGE_MAX;
	l.query.keep = keep_online;
	l.query.keep_ctx = w;
	l.query.filters[l.query.n_filters++] = (struct store_filter){ "site_id", FILTER_IS, id };
	if (!web_list_load(w, &l))
		return false;
	v->gateways = exchange_alloc(w->x, (l.n + 1) * sizeof(*v->gateways));
	for (u32 i = 0; v->gateways && i < l.n; i++)
		v->gateways[v->n_gateways++] = gateway_row(w, l.rows[i]);
	if (store_tally_of(w->x->portal->store, TALLY_GATEWAYS_OF_SITE, &w->account->e.id, &v->site->e.id, &all)) {
		web_store_failed(w);
		return false;
	}
	v->n_offline = (u32)MAX(all - l.page.count, 0);
	return true;
}

static bool load_resources(struct web *w, struct site_view *v)
{
	struct web_list l;
	const char *id = web_id(w, &v->site->e.id);

	web_list_begin(w, &l, KIND_RESOURCE, "resources", v->href, NULL, 0, NULL, NULL, 0);
	l.query.cursor = NULL;
	l.query.limit = ROWS_SHOWN;
	l.query.sort = "name";
	l.query.filters[l.query.n_filters++] = (struct store_filter){ "site_id", FILTER_IS, id };
	if (!web_list_load(w, &l))
		return false;
	v->resources = exchange_alloc(w->x, (l.n + 1) * sizeof(*v->resources));
	for (u32 i = 0; v->resources && i < l.n; i++)
		v->resources[v->n_resources++] = resource_row(w, l.rows[i]);
	v->n_all_resources = l.page.count;
	return true;
}

static bool load_tokens(struct web *w, struct site_view *v)
{
	if (store_tally_of(w->x->portal->store, TALLY_TOKENS_OF_SITE, &w->account->e.id, &v->site->e.id, &v->tokens) == 0)
		return true;
	web_store_failed(w);
	return false;
}

void page_site(struct exchange *x)
{
	struct web w;
	struct site_view v = { .n_gateways = 0 };

	if (!web_begin(&w, x, SECTION_SITES))
		return;
	v.site = web_get(&w, KIND_SITE, 1);
	if (v.site) {
		v.href = web_path(&w, "/sites/%s", web_id(&w, &v.site->e.id));
		v.is_internet = v.site->managed_by == MANAGED_BY_SYSTEM;
		v.gateways_href = web_text(&w, "%s/gateways", v.href);
		v.revoke_href = web_text(&w, "%s/revoke_tokens", v.href);
		v.edit_href = web_text(&w, "%s/edit", v.href);
		v.delete_href = web_text(&w, "%s/delete", v.href);
		v.new_resource_href = web_path(&w, "/resources/new?site=%s", web_id(&w, &v.site->e.id));
		if (load_gateways(&w, &v) && load_resources(&w, &v) && load_tokens(&w, &v)) {
			page_crumb(&w.page, "Sites", web_path(&w, "/sites"));
			w.page.title = v.site->name;
			w.page.lead = v.is_internet ? "Its gateways carry traffic to the whole internet, for those who may use the Internet resource." : NULL;
			w.page.action = "Deploy a gateway";
			w.page.action_href = web_path(&w, "/sites/%s/new_token", web_id(&w, &v.site->e.id));
			w.page.live_topics = "gateways";
			template_site(&x->out, &w.page, &v);
			web_send(&w, 200);
		}
	}
	web_end(&w);
}

void page_site_gateways(struct exchange *x)
{
	static const struct column columns[] = { { .label = "Gateway", .sort = "name" }, { .label = "Status" }, { .label = "Address" }, { .label = "Version" }, { .label = "Last started", .sort = "last_seen_at" } };
	struct form_field fields[] = { { .name = "q", .label = "Name" } };
	struct form f = { FORM_FIELDS(fields) };
	const struct site *site;
	struct gateways_view v = { .n = 0, .filters = &f };
	struct web_list l;
	struct web w;

	if (!web_begin(&w, x, SECTION_SITES))
		return;
	site = web_get(&w, KIND_SITE, 1);
	if (site) {
		const char *href = web_path(&w, "/sites/%s", web_id(&w, &site->e.id));
		web_list_begin(&w, &l, KIND_GATEWAY, "gateways", web_text(&w, "%s/gateways", href), columns, ARRAY_LEN(columns), &f, NULL, 0);
		l.query.filters[l.query.n_filters++] = (struct store_filter){ "site_id", FILTER_IS, web_id(&w, &site->e.id) };
		if (web_list_load(&w, &l)) {
			v.list = l.list;
			v.rows = exchange_alloc(x, (l.n + 1) * sizeof(*v.rows));
			for (u32 i = 0; v.rows && i < l.n; i++)
				v.rows[v.n++] = gateway_row(&w, l.rows[i]);
			page_crumb(&w.page, "Sites", web_path(&w, "/sites"));
			page_crumb(&w.page, site->name, href);
			w.page.title = "Gateways";
			w.page.lead = "All gateways that ever joined this site, also those that are away.";
			w.page.live_topics = "gateways";
			template_gateways(&x->out, &w.page, &v);
			web_send(&w, 200);
		}
	}
	web_end(&w);
}

/* ---- deleting ----------------------------------------------------------------------------------------------------------------------- */

void page_site_delete(struct exchange *x)
{
	const struct site *site;
	struct web w;

	if (!web_begin(&w, x, SECTION_SITES))
		return;
	site = web_get(&w, KIND_SITE, 1);
	if (site) {
		struct undo undo = { .noun = "site", .verb = "add", .href = web_path(&w, "/sites"), .said = UNDO_MADE_AGAIN };
		undo_set(&undo, "name", site->name);
		web_delete(&w, &(struct web_deletion){ .kind = KIND_SITE,
						       .id = &site->e.id,
						       .name = site->name,
						       .href = web_path(&w, "/sites/%s", web_id(&w, &site->e.id)),
						       .list_href = undo.href,
						       .list_label = "Sites",
						       .is_typed = true,
						       .undo = &undo });
	}
	web_end(&w);
}

void page_site_revoke(struct exchange *x)
{
	web_button(x, &(struct web_button){ .section = SECTION_SITES, .kind = KIND_SITE, .param = 1, .noun = "token", .verb = "delete-all", .field = "site", .list = "/sites",
					    .done = "All tokens of this site are revoked; its gateways were disconnected." });
}

/* ---- deploying ---------------------------------------------------------------------------------------------------------------------- */

static const char *new_id(struct web *w)
{
	struct uuid id = uuid_random(w->x->portal->rng);

	return web_id(w, &id);
}

static void fill_commands(struct web *w, struct deploy_view *v)
{
	v->id = new_id(w);
	v->api_url = web_text(w, "%s", w->x->portal->api_url ? w->x->portal->api_url : "");
	v->debian = web_text(w,
			     "# as root, with the emberbox binary in /usr/local/bin\n"
			     "install -d -m 700 /etc/emberbox\n"
			     "printf '%%s' '%s' > /etc/emberbox/gateway.token\n"
			     "chmod 600 /etc/emberbox/gateway.token\n"
			     "cat > /etc/systemd/system/emberbox-gateway.service <<'END'\n"
			     "[Unit]\nDescription=emberbox gateway\nAfter=network-online.target\nWants=network-online.target\n"
			     "[Service]\nEnvironment=FIREZONE_ID=%s FIREZONE_API_URL=%s\n"
			     "LoadCredential=FIREZONE_TOKEN:/etc/emberbox/gateway.token\n"
			     "ExecStart=/usr/local/bin/emberbox gateway\nRestart=always\n"
			     "[Install]\nWantedBy=multi-user.target\nEND\n"
			     "systemctl daemon-reload && systemctl enable --now emberbox-gateway\n",
			     v->token, v->id, v->api_url);
	v->openwrt = web_text(w,
			      "# /usr/bin/emberbox is on the router\n"
			      "touch /etc/config/emberbox\n"
			      "uci set emberbox.gateway=gateway\n"
			      "uci set emberbox.gateway.id='%s'\n"
			      "uci set emberbox.gateway.api_url='%s'\n"
			      "uci set emberbox.gateway.token='%s'\n"
			      "uci commit emberbox && chmod 600 /etc/config/emberbox\n"
			      "cat > /etc/init.d/emberbox-gateway <<'END'\n"
			      "#!/bin/sh /etc/rc.common\nSTART=95\nUSE_PROCD=1\n"
			      "start_service() {\n"
			      "\tprocd_open_instance\n"
			      "\tprocd_set_param command /usr/bin/emberbox gateway\n"
			      "\tprocd_set_param env FIREZONE_ID=\"$(uci get emberbox.gateway.id)\" \\\n"
			      "\t\tFIREZONE_API_URL=\"$(uci get emberbox.gateway.api_url)\" FIREZONE_TOKEN=\"$(uci get emberbox.gateway.token)\"\n"
			      "\tprocd_set_param respawn\n\tprocd_close_instance\n}\n"
			      "END\n"
			      "chmod 755 /etc/init.d/emberbox-gateway\n"
			      "/etc/init.d/emberbox-gateway enable && /etc/init.d/emberbox-gateway start\n",
			      v->id, v->api_url, v->token);
	v->docker = web_text(w,
			     "docker run -d --name emberbox-gateway --restart unless-stopped \\\n"
			     "  --cap-add NET_ADMIN --device /dev/net/tun --sysctl net.ipv4.ip_forward=1 \\\n"
			     "  --sysctl net.ipv6.conf.all.disable_ipv6=0 --sysctl net.ipv6.conf.all.forwarding=1 \\\n"
			     "  -e FIREZONE_ID='%s' \\\n  -e FIREZONE_TOKEN='%s' \\\n  -e FIREZONE_API_URL='%s' \\\n"
			     "  -v /usr/local/bin/emberbox:/emberbox:ro debian:stable-slim /emberbox gateway\n",
			     v->id, v->token, v->api_url);
	v->terraform = web_text(w,
				"# user data of a machine; any provider's instance takes it\n"
				"locals {\n  gateway_user_data = <<-END\n"
				"    #cloud-config\n"
				"    write_files:\n"
				"      - path: /etc/emberbox/gateway.env\n        permissions: \"0600\"\n        content: |\n"
				"          FIREZONE_ID=%s\n          FIREZONE_TOKEN=%s\n          FIREZONE_API_URL=%s\n"
				"      - path: /etc/systemd/system/emberbox-gateway.service\n        content: |\n"
				"          [Service]\n          EnvironmentFile=/etc/emberbox/gateway.env\n"
				"          ExecStart=/usr/local/bin/emberbox gateway\n          Restart=always\n"
				"          [Install]\n          WantedBy=multi-user.target\n"
				"    runcmd:\n      - systemctl enable --now emberbox-gateway\n  END\n}\n",
				v->id, v->token, v->api_url);
	v->plain = web_text(w, "FIREZONE_ID='%s' \\\nFIREZONE_TOKEN='%s' \\\nFIREZONE_API_URL='%s' \\\nemberbox gateway\n", v->id, v->token,
			    v->api_url);
}

void page_site_deploy(struct exchange *x)
{
	struct deploy_view v = { .token = NULL };
	struct web w;
	struct action a;
	u16 status = 200;

	if (!web_begin(&w, x, SECTION_SITES))
		return;
	v.site = web_get(&w, KIND_SITE, 1);
	if (v.site) {
		v.site_href = web_path(&w, "/sites/%s", web_id(&w, &v.site->e.id));
		v.action = web_text(&w, "%s/new_token", v.site_href);
		if (x->method == METHOD_POST) {
			web_action(&w, &a, "token", "add", NULL);
			action_set_id(&a, "site", &v.site->e.id);
			if (action_run(&a, x->portal) == ADMIN_OK) {
				v.token = web_text(&w, "%s", a.reply.secret);
				v.token_id = web_id(&w, &a.reply.id);
				fill_commands(&w, &v);
				w.page.live_topics = web_text(&w, "gateways,token-%s", v.token_id);
			} else {
				w.page.flash = (struct notice){ .tone = TONE_BAD, .text = web_text(&w, "%s", a.reply.reason) };
				status = web_status_of(a.reply.class);
			}
			action_end(&a);
		}
		page_crumb(&w.page, "Sites", web_path(&w, "/sites"));
		page_crumb(&w.page, v.site->name, v.site_href);
		w.page.title = "Deploy a gateway";
		w.page.lead = "A gateway is a machine in the site that clients reach resources through. It needs no open port.";
		template_deploy(&x->out, &w.page, &v);
		web_send(&w, status);
	}
	web_end(&w);
}

/* ---- one gateway -------------------------------------------------------------------------------------------------------------------- */

void page_gateway(struct exchange *x)
{
	const struct gateway *gw;
	struct gateway_view v = { .version = "", .user_agent = "", .region = "" };
	struct connections connections;
	struct store_session last;
	struct web w;

	if (!web_begin(&w, x, SECTION_SITES))
		return;
	v.gateway = gw = web_get(&w, KIND_GATEWAY, 1);
	if (gw && connections_of(&w, KIND_GATEWAY, &gw->d.e.id, &connections)) {
		v.site = web_find(&w, KIND_SITE, &gw->d.owner_id);
		v.site_href = web_path(&w, "/sites/%s", web_id(&w, &gw->d.owner_id));
		v.delete_href = web_path(&w, "/gateways/%s/delete", web_id(&w, &gw->d.e.id));
		v.is_online = web_is_online(&w, KIND_GATEWAY, &gw->d.e.id);
		v.ipv4 = pool_ip(POOL_IPV4, gw->d.ipv4);
		v.ipv6 = pool_ip(POOL_IPV6, gw->d.ipv6);
		if (store_latest_gateway_session(x->portal->store, &w.account->e.id, &gw->d.e.id, &last) == 0) {
			(void)ip_parse(SPAN(last.remote_ip, strlen(last.remote_ip)), &v.remote_ip);
			v.version = web_text(&w, "%s", last.version);
			v.user_agent = web_text(&w, "%s", last.user_agent);
			v.region = web_whereabouts(&w, last.city, last.region);
			v.last_started = last.at;
		}
		v.connections = &connections;
		page_crumb(&w.page, "Sites", web_path(&w, "/sites"));
		if (v.site)
			page_crumb(&w.page, v.site->name, v.site_href);
		w.page.title = gw->d.name;
		w.page.live_topics = web_text(&w, "gateways,paths-%s", web_id(&w, &gw->d.e.id));
		paths_of(&w, KIND_GATEWAY, &gw->d.e.id, &v.paths);
		template_gateway(&x->out, &w.page, &v);
		web_send(&w, 200);
	}
	web_end(&w);
}

void page_gateway_delete(struct exchange *x)
{
	const struct gateway *gw;
	struct web w;

	if (!web_begin(&w, x, SECTION_SITES))
		return;
	gw = web_get(&w, KIND_GATEWAY, 1);
	if (gw)
		web_delete(&w, &(struct web_deletion){ .kind = KIND_GATEWAY,
						       .id = &gw->d.e.id,
						       .name = gw->d.name,
						       .href = web_path(&w, "/gateways/%s", web_id(&w, &gw->d.e.id)),
						       .list_href = web_path(&w, "/sites/%s/gateways", web_id(&w, &gw->d.owner_id)),
						       .list_label = "Gateways",
						       .note = "If its token is still valid it comes back as a new gateway when it reconnects." });
	web_end(&w);
}
