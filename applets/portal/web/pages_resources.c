/* Resources: what is reached (spec 60 §1.11, §9). */
#include "applets/portal/web/bulk.h"
#include "applets/portal/web/pages.h"
#include "applets/portal/web/templates.h"
#include "applets/portal/web/undo.h"
#include "applets/portal/web/views_sites.h"

#include "applets/portal/model/directory.h"
#include "applets/portal/model/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- rows --------------------------------------------------------------------------------------------------------------------------- */

struct resource_row resource_row(struct web *w, const struct resource *r)
{
	const struct directory *d = hub_directory(w->x->portal->hub);
	struct resource_row row = { .resource = r, .href = web_path(w, "/resources/%s", web_id(w, &r->e.id)), .groups = "" };
	const struct site *site = uuid_is_null(&r->site_id) ? NULL : directory_get(d, KIND_SITE, &w->account->e.id, &r->site_id);
	u32 n, shown = 0;
	void *const *policies = directory_policies_of(d, &w->account->e.id, &r->e.id, &n);

	if (site) {
		row.site = web_text(w, "%s", site->name);
		row.site_href = web_path(w, "/sites/%s", web_id(w, &site->e.id));
	}
	for (u32 i = 0; i < n; i++) {
		const struct policy *p = policies[i];
		const struct group *g = uuid_is_null(&p->group_id) ? NULL : directory_get(d, KIND_GROUP, &w->account->e.id, &p->group_id);

		if (!g || p->disabled_at)
			continue;
		row.policies++;
		if (shown++ < 3)
			row.groups = web_text(w, "%s%s%s", row.groups, *row.groups ? ", " : "", g->name);
	}
	if (shown > 3)
		row.groups = web_text(w, "%s and %u more", row.groups, shown - 3);
	return row;
}

/* ---- the list ----------------------------------------------------------------------------------------------------------------------- */

void page_resources(struct exchange *x)
{
	static const struct column columns[] = { { .label = "Resource", .sort = "name" }, { .label = "Address", .sort = "address" }, { .label = "Site" }, { .label = "Who may reach it" } };
	static const struct web_filter filters[] = { { "site", "site_id" } };
	struct form_field fields[] = {
		{ .name = "q", .label = "Name or address" },
		{ .name = "site", .label = "Site", .kind = INPUT_SELECT },
	};
	struct form f = { FORM_FIELDS(fields) };
	struct resources_view v = { .n = 0 };
	struct web_list l;
	struct web w;

	if (!web_begin(&w, x, SECTION_RESOURCES))
		return;
	w.page.lead = "A resource is something people reach: a machine, a network, a name. Nobody may, until a policy says so.";
	w.page.action = "New resource";
	w.page.action_href = web_path(&w, "/resources/new");
	w.page.live_topics = "resources";
	web_list_begin(&w, &l, KIND_RESOURCE, "resources", web_path(&w, "/resources"), columns, ARRAY_LEN(columns), &f, filters, ARRAY_LEN(filters));
	if (!l.query.sort)
		l.query.sort = l.list.sort = "name";
	if (web_pick(&w, &fields[1], KIND_SITE) && web_list_load(&w, &l)) {
		v.list = l.list;
		v.list.bulk = bulk_bar(&w, "resources", NULL);
		v.filters = &f;
		v.rows = exchange_alloc(x, (l.n + 1) * sizeof(*v.rows));
		for (u32 i = 0; v.rows && i < l.n; i++)
			v.rows[v.n++] = resource_row(&w, l.rows[i]);
		template_resources(&x->out, &w.page, &v);
		web_send(&w, 200);
	}
	web_end(&w);
}

/* ---- the form ----------------------------------------------------------------------------------------------------------------------- */

enum { F_ADDRESS, F_NAME, F_SITE, F_TYPE, F_STACK, F_DESCRIPTION, F_TCP, F_UDP, F_ICMP, F_COUNT };

/* Traffic is limited by protocol: nothing ticked is everything, a protocol without ports is all of it. */
static bool begin_form(struct web *w, struct form *f, struct form_field fields[static F_COUNT], const struct resource *r)
{
	static struct choice types[] = { { .value = "", .label = "Seen from the address" },
					 { .value = "dns", .label = "A name", .help = "app.example.com, *.example.com" },
					 { .value = "ip", .label = "One address", .help = "10.0.0.5, fd00::5" },
					 { .value = "cidr", .label = "A network", .help = "10.0.0.0/24" } };
	static struct choice stacks[] = { { .value = "dual", .label = "IPv4 and IPv6" }, { .value = "ipv4_only", .label = "IPv4 only" }, { .value = "ipv6_only", .label = "IPv6 only" } };

	memset(fields, 0, F_COUNT * sizeof(*fields));
	fields[F_ADDRESS] = (struct form_field){ .name = "address", .label = "Address", .help = "A name (with wildcards if you like), an IP address or a network. The kind is seen from what you type.",
						 .placeholder = "gitlab.example.com", .max = 253, .is_required = true, .is_focused = true, .is_code = true };
	fields[F_NAME] = (struct form_field){ .name = "name", .label = "Name", .help = "What people see in their client. The address when left empty.", .max = 255 };
	fields[F_SITE] = (struct form_field){ .name = "site", .label = "Site", .help = "Its gateways lead there.", .value = r ? web_id(w, &r->site_id) : NULL, .is_required = true };
	fields[F_TYPE] = (struct form_field){ .name = "type", .label = "Kind", .kind = INPUT_SELECT, .help = "Leave it to be seen from the address.", .choices = types, .n_choices = ARRAY_LEN(types), .is_more = true };
	fields[F_STACK] = (struct form_field){ .name = "ip-stack", .label = "Addresses of a name", .kind = INPUT_SELECT, .help = "Which kinds of addresses clients get for it.", .choices = stacks, .n_choices = ARRAY_LEN(stacks), .is_more = true };
	fields[F_DESCRIPTION] = (struct form_field){ .name = "description", .label = "Link or description", .help = "Shown beside the resource in clients: where to click, whom to ask.", .max = 255, .is_more = true };
	fields[F_TCP] = (struct form_field){ .name = "tcp", .label = "Limit to TCP ports", .help = "22, 8000-9000; the word all for every port. Without any limit everything is let through.", .is_code = true, .is_more = true };
	fields[F_UDP] = (struct form_field){ .name = "udp", .label = "Limit to UDP ports", .help = "53; or all.", .is_code = true, .is_more = true };
	fields[F_ICMP] = (struct form_field){ .name = "icmp", .label = "Allow ping (ICMP) when traffic is limited", .kind = INPUT_CHECKBOX, .is_more = true };
	f->fields = fields;
	f->n_fields = F_COUNT;
	return web_pick(w, &fields[F_SITE], KIND_SITE);
}

/* "10.9.0.0/24" is a network, "10.9.0.5" an address, the rest a name. */
static const char *guess_type(const char *address)
{
	struct cidr net;
	struct ip ip;
	struct span text = SPAN(address, strlen(address));

	if (strchr(address, '/'))
		return cidr_parse(text, &net) == 0 ? "cidr" : "dns";
	return ip_parse(text, &ip) == 0 ? "ip" : "dns";
}

static void add_filter(struct action *a, const char *protocol, const char *ports)
{
	char text[512];
	size_t n = 0;

	while (*ports == ' ')
		ports++;
	if (!*ports)
		return;
	if (strcasecmp(ports, "all") == 0) {
		action_set(a, "filter", protocol);
		return;
	}
	for (const char *p = ports; *p && n + 1 < sizeof(text); p++)
		if (*p != ' ')
			text[n++] = *p;
	text[n] = '\0';
	action_setf(a, "filter", "%s:%s", protocol, text);
}

static void give_form(struct web *w, struct action *a, bool is_new)
{
	struct exchange *x = w->x;
	const char *address = exchange_form(x, "address"), *name = exchange_form(x, "name"), *type = exchange_form(x, "type");
	const char *stack = exchange_form(x, "ip-stack"), *tcp = exchange_form(x, "tcp"), *udp = exchange_form(x, "udp");

	address = address ? address : "";
	if (!type || !*type)
		type = guess_type(address);
	action_set(a, "address", address);
	action_set(a, "type", type);
	action_set(a, "name", name && *name ? name : address);
	action_set(a, "site", exchange_form(x, "site"));
	if (strcmp(type, "dns") == 0 && stack && *stack)
		action_set(a, "ip-stack", stack);
	action_set(a, "description", exchange_form(x, "description"));
	add_filter(a, "tcp", tcp ? tcp : "");
	add_filter(a, "udp", udp ? udp : "");
	if (exchange_form(x, "icmp"))
		action_set(a, "filter", "icmp");
	if (!is_new && !(tcp && *tcp) && !(udp && *udp) && !exchange_form(x, "icmp"))
		action_set(a, "no-filters", "true");
}

/* The complaint about filters belongs to the protocol that was typed wrong. */
static u16 form_failed(struct form *f, struct action *a)
{
	bool is_udp = strstr(a->reply.reason, "udp") != NULL;

	if (strcmp(a->reply.field, "filter") == 0 || strcmp(a->reply.field, "filters") == 0)
		snprintf(a->reply.field, sizeof(a->reply.field), "%s", is_udp ? "udp" : "tcp");
	if (strcmp(a->reply.field, "address-description") == 0 || strcmp(a->reply.field, "address_description") == 0)
		snprintf(a->reply.field, sizeof(a->reply.field), "description");
	if (strcmp(a->reply.field, "ip_stack") == 0)
		snprintf(a->reply.field, sizeof(a->reply.field), "ip-stack");
	return web_form_failed(f, a);
}

void page_resource_new(struct exchange *x)
{
	struct form_field fields[F_COUNT];
	struct form f = { .submit = "Create resource" };
	struct web w;

	if (!web_begin(&w, x, SECTION_RESOURCES))
		return;
	if (begin_form(&w, &f, fields, NULL)) {
		f.action = web_path(&w, "/resources/new");
		f.cancel_href = web_path(&w, "/resources");
		form_set(&f, "address", exchange_query(x, "address"));
		page_crumb(&w.page, "Resources", f.cancel_href);
		w.page.title = "New resource";
		w.page.lead = "Type its address; the rest is guessed.";
		web_edit(&w, &(struct web_edit){ .kind = KIND_RESOURCE, .noun = "resource", .form = &f, .done = "The resource is made. Now say who may reach it.",
						 .href = web_path(&w, "/policies/new?resource="), .give = give_form, .failed = form_failed });
	}
	web_end(&w);
}

/* "22, 8000-9000", "all" or NULL of one protocol. */
static const char *ports_of(struct web *w, const char *filters, enum protocol wanted)
{
	struct filter list[FILTERS_MAX];
	struct complaint c;
	const char *text = NULL;
	int n = filters ? filters_parse(filters, list, &c) : 0;

	for (int i = 0; i < n; i++) {
		if (list[i].protocol != wanted)
			continue;
		if (!list[i].has_ports)
			return "all";
		const char *one = list[i].first == list[i].last ? web_text(w, "%u", list[i].first) : web_text(w, "%u-%u", list[i].first, list[i].last);
		text = text ? web_text(w, "%s, %s", text, one) : one;
	}
	return text;
}

static void fill_form(struct web *w, struct form *f, const struct resource *r)
{
	form_set(f, "address", r->address);
	form_set(f, "name", r->name);
	if (r->address && strcmp(guess_type(r->address), resource_type_names[r->type]) != 0)
		form_set(f, "type", resource_type_names[r->type]);
	form_set(f, "ip-stack", ip_stack_names[r->ip_stack]);
	form_set(f, "description", r->address_description);
	form_set(f, "tcp", ports_of(w, r->filters, PROTO_TCP));
	form_set(f, "udp", ports_of(w, r->filters, PROTO_UDP));
	form_set(f, "icmp", ports_of(w, r->filters, PROTO_ICMP) ? "true" : NULL);
}

struct undo resource_undo(struct web *w, const struct resource *r, const char *href)
{
	bool is_deleted = !href;
	struct undo u = { .noun = "resource", .verb = is_deleted ? "add" : "update", .href = is_deleted ? web_path(w, "/resources") : href,
			  .said = is_deleted ? UNDO_MADE_AGAIN : "It is as it was before. Connections that ended begin anew.",
			  .is_too_much = r->type == RESOURCE_INTERNET || r->type == RESOURCE_POOL };
	const char *at = r->filters ? r->filters : "";

	undo_set(&u, "address", r->address);
	undo_set(&u, "type", resource_type_names[r->type]);
	undo_set(&u, "name", r->name);
	undo_set(&u, "site", web_id(w, &r->site_id));
	if (r->type == RESOURCE_DNS)
		undo_set(&u, "ip-stack", ip_stack_names[r->ip_stack]);
	undo_set(&u, "description", r->address_description ? r->address_description : "");
	if (!is_deleted && !*at)
		undo_set(&u, "no-filters", "true");
	for (size_t n; *at; at += n + (at[n] == ' ')) {
		n = strcspn(at, " ");
		undo_set(&u, "filter", web_text(w, "%.*s", (int)n, at));
	}
	return u;
}

void page_resource_edit(struct exchange *x)
{
	struct form_field fields[F_COUNT];
	struct form f = { .submit = "Save resource" };
	const struct resource *r;
	struct web w;

	if (!web_begin(&w, x, SECTION_RESOURCES))
		return;
	r = web_get(&w, KIND_RESOURCE, 1);
	if (r && begin_form(&w, &f, fields, r)) {
		f.cancel_href = web_path(&w, "/resources/%s", web_id(&w, &r->e.id));
		f.action = web_text(&w, "%s/edit", f.cancel_href);
		f.updated_at = r->e.updated_at;
		fill_form(&w, &f, r);
		page_crumb(&w.page, "Resources", web_path(&w, "/resources"));
		page_crumb(&w.page, r->name, f.cancel_href);
		w.page.title = "Change resource";
		w.page.lead = "People who are connected get the change at once.";
		struct undo undo = resource_undo(&w, r, f.cancel_href);
		web_edit(&w, &(struct web_edit){ .kind = KIND_RESOURCE, .noun = "resource", .id = &r->e.id, .form = &f, .done = "The resource is changed.",
						 .href = f.cancel_href, .give = give_form, .failed = form_failed, .undo = &undo });
	}
	web_end(&w);
}

/* ---- one resource ------------------------------------------------------------------------------------------------------------------- */

static void load_policies(struct web *w, struct resource_view *v)
{
	const struct directory *d = hub_directory(w->x->portal->hub);
	u32 n;
	void *const *all = directory_policies_of(d, &w->account->e.id, &v->resource->e.id, &n);

	v->policies = exchange_alloc(w->x, (n + 1) * sizeof(*v->policies));
	for (u32 i = 0; v->policies && i < n; i++)
		v->policies[v->n_policies++] = policy_row(w, all[i]);
}

void page_resource(struct exchange *x)
{
	struct resource_view v = { .n_policies = 0 };
	struct connections connections;
	struct web w;

	if (!web_begin(&w, x, SECTION_RESOURCES))
		return;
	v.resource = web_get(&w, KIND_RESOURCE, 1);
	if (v.resource && connections_of(&w, KIND_RESOURCE, &v.resource->e.id, &connections)) {
		v.row = resource_row(&w, v.resource);
		v.connections = &connections;
		v.tcp = ports_of(&w, v.resource->filters, PROTO_TCP);
		v.udp = ports_of(&w, v.resource->filters, PROTO_UDP);
		v.has_icmp = ports_of(&w, v.resource->filters, PROTO_ICMP) != NULL;
		v.new_policy_href = web_path(&w, "/policies/new?resource=%s", web_id(&w, &v.resource->e.id));
		v.delete_href = web_text(&w, "%s/delete", v.row.href);
		load_policies(&w, &v);
		page_crumb(&w.page, "Resources", web_path(&w, "/resources"));
		w.page.title = v.resource->name;
		if (v.resource->type != RESOURCE_INTERNET && v.resource->type != RESOURCE_POOL) {
			w.page.action = "Edit";
			w.page.action_href = web_path(&w, "/resources/%s/edit", web_id(&w, &v.resource->e.id));
		}
		template_resource(&x->out, &w.page, &v);
		web_send(&w, 200);
	}
	web_end(&w);
}

void page_resource_delete(struct exchange *x)
{
	const struct resource *r;
	struct web w;

	if (!web_begin(&w, x, SECTION_RESOURCES))
		return;
	r = web_get(&w, KIND_RESOURCE, 1);
	if (r) {
		struct undo undo = resource_undo(&w, r, NULL);
		web_delete(&w, &(struct web_deletion){ .kind = KIND_RESOURCE,
						       .id = &r->e.id,
						       .noun = r->type == RESOURCE_POOL ? "pool" : NULL,
						       .name = r->name,
						       .href = web_path(&w, "/resources/%s", web_id(&w, &r->e.id)),
						       .list_href = undo.href,
						       .list_label = "Resources",
						       .is_typed = true,
						       .undo = &undo });
	}
	web_end(&w);
}
