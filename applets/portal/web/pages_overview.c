/* The overview: four steps until it works, then what goes on (admin-ui: the five-minute path). */
#include "applets/portal/web/hours.h"
#include "applets/portal/web/pages.h"
#include "applets/portal/web/templates.h"
#include "applets/portal/web/views_overview.h"

#include "applets/portal/model/directory.h"

#include <stdio.h>
#include <string.h>

/* ---- steps -------------------------------------------------------------------------------------------------------------------------- */

static u32 count_rows(struct web *w, enum kind k)
{
	i64 n;

	return store_rows(w->x->portal->store, k, &w->account->e.id, &n) == 0 ? (u32)n : 0;
}

static bool is_own_resource(const void *entity)
{
	return ((const struct resource *)entity)->type != RESOURCE_INTERNET;
}

static bool is_own_site(const void *entity)
{
	return ((const struct site *)entity)->managed_by == MANAGED_BY_ACCOUNT;
}

static bool is_person(const void *entity)
{
	return ((const struct actor *)entity)->email != NULL;
}

static u32 count_known(struct web *w, enum kind k, bool (*is_counted)(const void *entity))
{
	u32 n, counted = 0;
	void *const *list = directory_all(hub_directory(w->x->portal->hub), k, &w->account->e.id, &n);

	for (u32 i = 0; i < n; i++)
		counted += is_counted(list[i]);
	return counted;
}

static void fill_steps(struct web *w, struct overview_view *v)
{
	const struct site *first = NULL;
	u32 n;
	void *const *sites = directory_all(hub_directory(w->x->portal->hub), KIND_SITE, &w->account->e.id, &n);
	u32 gateways = count_rows(w, KIND_GATEWAY), clients = count_rows(w, KIND_CLIENT);

	for (u32 i = 0; i < n && !first; i++)
		if (((const struct site *)sites[i])->managed_by == MANAGED_BY_ACCOUNT)
			first = sites[i];
	v->steps[0] = (struct step_view){ .title = "Gateway", .text = gateways ? "One joined: what is behind it can be reached." : "A machine in the place you want to reach. It takes one command.",
					  .link = gateways ? NULL : "Deploy a gateway", .href = first ? web_path(w, "/sites/%s/new_token", web_id(w, &first->e.id)) : web_path(w, "/sites/new"),
					  .is_done = gateways > 0 };
	v->steps[1] = (struct step_view){ .title = "Resource", .text = v->resources ? "There is something to reach." : "Type the address of something behind the gateway.",
					  .link = v->resources ? NULL : "Add a resource", .href = web_path(w, "/resources/new"), .is_done = v->resources > 0 };
	v->steps[2] = (struct step_view){ .title = "Who", .text = v->policies ? "A policy lets people reach it." : "Say who may reach it: everyone, or a group.",
					  .link = v->policies ? NULL : "Add a policy", .href = web_path(w, "/policies/new"), .is_done = v->policies > 0 };
	v->steps[3] = (struct step_view){ .title = "Connect yourself", .text = clients ? "A client connected." : "On your own machine: sign in, then connect. Or open an app of Firezone with this portal's address and the short name below.",
					  .command = clients ? NULL : web_text(w, "sudo emberbox client sign-in --auth-base-url %s --account-slug %s\nsudo emberbox client --api-url %s", w->x->portal->web_url, w->account->slug,
									       w->x->portal->api_url ? w->x->portal->api_url : ""),
					  .is_done = clients > 0 };
	for (u32 i = 0; i < 4; i++)
		v->n_done += v->steps[i].is_done;
}

/* ---- charts ------------------------------------------------------------------------------------------------------------------------- */

static bool fill_charts(struct web *w, struct overview_view *v)
{
	struct chart *c = &v->flows;
	struct hours h;
	u64 *flows = hours_begin(w, &h) ? hours_of(&h, "flows") : NULL, *connects = flows ? hours_of(&h, "client_connects") : NULL;

	if (!connects || !traffic_chart(&h, &v->bytes))
		return false;
	v->has_bytes = !chart_is_empty(&v->bytes);
	*c = hours_chart(&h, "Connections per hour, UTC", "");
	c->n_series = 2;
	c->series[0].name = "allowed";
	c->series[0].values = flows;
	c->series[1].name = "clients";
	c->series[1].values = connects;
	chart_scale(c);
	return true;
}

/* ---- topology ----------------------------------------------------------------------------------------------------------------------- */

#define ROW_HEIGHT 30u
#define COLUMN_WIDTH 190u
#define NODE_WIDTH 150u

const char *const topo_titles[TOPO_COLUMNS] = { "People", "Clients", "Gateways", "Resources" };

u32 topo_x(u32 column)
{
	return 10 + column * COLUMN_WIDTH;
}

struct drawing {
	struct web *w;
	struct topology *t;
};

/* Index of the node, the last for what does not fit. */
static u32 node_of(struct drawing *d, u32 column, const struct uuid *id, const char *name, const char *where, enum kind k)
{
	struct topology *t = d->t;

	for (u32 i = 0; i < t->n[column]; i++)
		if (uuid_eq(&t->node[column][i].id, id))
			return i;
	if (t->n[column] == TOPO_NODES_MAX) {
		t->more[column]++;
		return TOPO_NODES_MAX - 1;
	}
	t->node[column][t->n[column]] = (struct topo_node){ .id = *id, .name = web_text(d->w, "%s", name), .href = web_path(d->w, "/%s/%s", where, web_id(d->w, id)),
							    .is_online = k == KIND_COUNT || web_is_online(d->w, k, id), .y = 40 + t->n[column] * ROW_HEIGHT };
	return t->n[column]++;
}

static bool is_same_line(const struct topo_line *a, const struct topo_line *b)
{
	return a->x1 == b->x1 && a->y1 == b->y1 && a->y2 == b->y2;
}

static void draw_line(struct topology *t, u32 column, u32 from, u32 to, int path)
{
	struct topo_line l = { topo_x(column) + NODE_WIDTH, t->node[column][from].y + 10, topo_x(column + 1), t->node[column + 1][to].y + 10, path };

	for (u32 i = 0; i < t->n_lines; i++)
		if (is_same_line(&t->line[i], &l))
			return;
	if (t->n_lines < TOPO_LINES_MAX)
		t->line[t->n_lines++] = l;
}

static int take_connection(void *ctx, const struct store_connection *c)
{
	struct drawing *d = ctx;
	struct hub_path path;
	u32 actor = node_of(d, 0, &c->actor_id, c->actor_name, "actors", KIND_COUNT);
	u32 client = node_of(d, 1, &c->client_id, c->client_name, "clients", KIND_CLIENT);
	u32 gateway = node_of(d, 2, &c->gateway_id, c->gateway_name, "gateways", KIND_GATEWAY);
	u32 resource = node_of(d, 3, &c->resource_id, c->resource_name, "resources", KIND_COUNT);

	bool is_known = hub_path(d->w->x->portal->hub, &d->w->account->e.id, &c->gateway_id, &c->client_id, &path);
	bool is_untold = !is_known && !uuid_is_null(&c->gateway_id); /* clients among themselves have no gateway that could tell */

	draw_line(d->t, 0, actor, client, LINE_PLAIN);
	draw_line(d->t, 1, client, gateway, is_untold ? LINE_UNKNOWN : is_known && path.is_relayed ? LINE_RELAYED : LINE_PLAIN);
	draw_line(d->t, 2, gateway, resource, LINE_PLAIN);
	d->t->has_relayed |= is_known && path.is_relayed;
	d->t->has_unknown |= is_untold;
	return 0;
}

const struct topology *topology_of(struct web *w)
{
	struct topology *t = exchange_alloc(w->x, sizeof(*t));
	struct drawing d = { w, t };
	u32 rows = 0;

	if (!t || store_all_connections(w->x->portal->store, &w->account->e.id, TOPO_CONNECTIONS, take_connection, &d))
		return NULL;
	for (u32 c = 0; c < TOPO_COLUMNS; c++)
		rows = MAX(rows, t->n[c] + (t->more[c] > 0));
	t->height = 50 + rows * ROW_HEIGHT;
	return rows > 0 ? t : NULL;
}

/* ---- the page ----------------------------------------------------------------------------------------------------------------------- */

/* The newest whose path is known tells most. */
static const struct connection_row *latest_of(const struct connections *c)
{
	for (u32 i = 0; i < c->n; i++)
		if (c->rows[i].has_path)
			return &c->rows[i];
	return c->n ? c->rows : NULL;
}

#define CONNECTIONS_HERE 10u /* with pictures of full size above and below, and 60 KB for all */

void page_overview(struct exchange *x)
{
	struct overview_view v = { .n_done = 0 };
	struct connections connections;
	struct web w;

	if (!web_begin(&w, x, SECTION_OVERVIEW))
		return;
	v.resources = count_known(&w, KIND_RESOURCE, is_own_resource);
	v.policies = count_rows(&w, KIND_POLICY);
	v.sites = count_known(&w, KIND_SITE, is_own_site);
	v.people = count_known(&w, KIND_ACTOR, is_person);
	fill_steps(&w, &v);
	v.clients = hub_count(x->portal->hub, MSG_ROLE_CLIENT, &w.account->e.id);
	v.gateways = hub_count(x->portal->hub, MSG_ROLE_GATEWAY, &w.account->e.id);
	v.relays = hub_count(x->portal->hub, MSG_ROLE_RELAY, NULL);
	if (connections_of(&w, KIND_COUNT, NULL, &connections) && fill_charts(&w, &v)) {
		v.connections = &connections;
		v.is_first = connections.n == 1;
		v.latest = latest_of(&connections);
		connections.n = MIN(connections.n, CONNECTIONS_HERE);
		v.topology = topology_of(&w);
		w.page.lead = v.n_done < 4 ? "Four steps, and the first connection stands. Each ticks itself when it is done." : NULL;
		w.page.live_topics = "overview,policies,resources";
		template_overview(&x->out, &w.page, &v);
		web_send(&w, 200);
	}
	web_end(&w);
}
