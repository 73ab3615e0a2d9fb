/* What the pages show of paths, latency and traffic, with a gateway that reports and one that does not. */
#include "tests/unit/page_world.h"

#include "applets/portal/news.h"
#include "applets/portal/web/hours.h"
#include "applets/portal/web/templates.h"
#include "applets/portal/web/views_overview.h"

#include <stdlib.h>
#include <unistd.h>

struct lab {
	struct http_world *w;
	struct fake *c, *g;
	char resource[40], client[40], gateway[40];
};

/* Signed in, with a lab that everyone may reach, a gateway and a client of Jo's; `has_flow`: one let through. */
static struct lab lab(bool has_flow)
{
	struct lab l = { .w = signed_in() };
	struct portal_world *p = l.w->portal;
	char payload[300];

	snprintf(l.resource, sizeof(l.resource), "%s", admin_value(p, "resource add --site Berlin --address 10.9.0.0/24 --name lab", "id"));
	EXPECT_EQ(admin(p, "policy add --group Everyone --resource lab"), 0);
	l.g = join_gateway(p, token_for(p, "--site Berlin"), "gw", 'g');
	EXPECT_EVENT(l.g, "init");
	l.c = join_client(p, token_for(p, "--actor jo@acme.example --expires 10d"), "laptop", 'c');
	EXPECT_EVENT(l.c, "init");
	snprintf(l.client, sizeof(l.client), "%s", admin_value(p, "client show laptop", "id"));
	snprintf(l.gateway, sizeof(l.gateway), "%s", admin_value(p, "gateway show gw", "id"));
	if (has_flow) {
		snprintf(payload, sizeof(payload), "{'resource_id':'%s','connected_gateway_ids':[]}", l.resource);
		say(l.c, "create_flow", payload);
		EXPECT_EVENT(l.g, "authorize_flow");
		snprintf(payload, sizeof(payload), "{'ref':'%s'}", heard(l.g, "ref"));
		say(l.g, "flow_authorized", payload);
		EXPECT_EVENT(l.g, "phx_reply");
		EXPECT_EVENT(l.c, "flow_created");
	}
	return l;
}

static void report(struct lab *l, const char *path_name, const char *more)
{
	char payload[400];

	snprintf(payload, sizeof(payload), "{'connections':[{'client_id':'%s','path':'%s',%s}]}", l->client, path_name, more);
	say(l->g, "connections_report", payload);
}

/* For peers and browser. */
static void pass(struct lab *l, u64 ns)
{
	tick(l->w->portal, ns);
	http_turn(l->w);
}

TEST(a_client_page_says_over_which_path_how_fast_and_through_whom)
{
	struct lab l = lab(true);
	const struct reply *r = get(l.w, path("/acme/clients/%s", l.client), 200);

	EXPECT_HAS(r->body, "not connected to a gateway that reports it");
	report(&l, "direct", "'rtt_ms':12,'rx_bytes':1,'tx_bytes':1");
	r = get(l.w, path("/acme/clients/%s", l.client), 200);
	EXPECT_HAS(r->body, ">direct</span> 12&nbsp;ms through <a href=\"/acme/gateways/");
	EXPECT_HAS(r->body, ">gw</a>");
	report(&l, "relayed", "'rtt_ms':0,'rx_bytes':1,'tx_bytes':1");
	r = get(l.w, path("/acme/clients/%s", l.client), 200);
	EXPECT_HAS(r->body, ">relayed</span> under 1&nbsp;ms through");
	report(&l, "gone", "'rx_bytes':1,'tx_bytes':1");
	r = get(l.w, path("/acme/clients/%s", l.client), 200);
	EXPECT_HAS(r->body, "not connected to a gateway that reports it");
	http_free(l.w);
}

TEST(a_gateway_page_lists_who_is_connected_or_says_why_nobody_is)
{
	struct lab l = lab(true);
	const struct reply *r = get(l.w, path("/acme/gateways/%s", l.gateway), 200);

	EXPECT_HAS(r->body, "an original Firezone gateway does not");
	report(&l, "relayed", "'rtt_ms':70,'rx_bytes':1,'tx_bytes':1");
	r = get(l.w, path("/acme/gateways/%s", l.gateway), 200);
	EXPECT_HAS(r->body, ">relayed</span> 70&nbsp;ms");
	EXPECT_HAS(r->body, ">laptop</a>");
	report(&l, "gone", "'rx_bytes':1,'tx_bytes':1");
	r = get(l.w, path("/acme/gateways/%s", l.gateway), 200);
	EXPECT_HAS(r->body, "No client is connected through it at present.");
	http_free(l.w);
}

/* Every link of a page to a page of the account leads somewhere. */
static void expect_links(struct http_world *w, const char *page)
{
	char *body = strdup(get(w, page, 200)->body);

	for (const char *at = body; (at = strstr(at, "href=\"/acme/")); at++) {
		char href[256];
		snprintf(href, sizeof(href), "%.*s", (int)strcspn(at + 6, "\""), at + 6);
		if (!strstr(href, "&amp;") && http_get(w, href)->status != 200)
			test_fail(__FILE__, __LINE__, "%s links to %s: %d", page, href, w->reply.status);
	}
	free(body);
}

TEST(what_is_gone_is_named_but_not_linked)
{
	struct lab l = lab(true);
	struct portal_world *p = l.w->portal;
	char gateway[256];
	const struct reply *r;

	report(&l, "direct", "'rtt_ms':12,'rx_bytes':1,'tx_bytes':1");
	snprintf(gateway, sizeof(gateway), "%s", path("/acme/gateways/%s", l.gateway));
	EXPECT_EQ(admin(p, "group add --name Ops"), 0);
	EXPECT_EQ(admin(p, "group delete Ops"), 0);
	EXPECT_HAS(get(l.w, "/acme/activity?kind=client", 200)->body, path("href=\"/acme/clients/%s\"", l.client));
	EXPECT_EQ(admin(p, path("client delete %s", l.client)), 0);
	http_turn(l.w);
	r = get(l.w, "/acme/activity", 200);
	EXPECT_HAS(r->body, "made group Ops (deleted since)");
	EXPECT_HAS(r->body, "made client laptop (deleted since)");
	EXPECT(!strstr(r->body, "deleted group Ops (deleted since)") && !strstr(r->body, "made resource lab (deleted since)"));
	report(&l, "direct", "'rtt_ms':12,'rx_bytes':1,'tx_bytes':1"); /* until the gateway hears of it */
	EXPECT_HAS(get(l.w, gateway, 200)->body, l.client);
	expect_links(l.w, "/acme/activity");
	expect_links(l.w, "/acme/overview");
	expect_links(l.w, gateway);
	http_free(l.w);
}

static int listen_to(struct lab *l, const char *topic)
{
	char request[4000];
	bool is_closed;
	int fd = http_dial(l->w);

	snprintf(request, sizeof(request), "GET /acme/live?topics=%s HTTP/1.1\r\nHost: x\r\nCookie: %s\r\n\r\n", topic, l->w->cookie[0]);
	http_send(l->w, fd, request);
	EXPECT_HAS(http_recv(l->w, fd, &is_closed), "text/event-stream");
	return fd;
}

TEST(open_pages_follow_what_gateways_report)
{
	struct lab l = lab(true);
	char topic[64], region[96];
	bool is_closed;
	int client, gateway;

	hub_set_news(l.w->portal->portal.hub, &live_news, &l.w->portal->portal);
	snprintf(topic, sizeof(topic), "paths-%s", l.client);
	client = listen_to(&l, topic);
	snprintf(topic, sizeof(topic), "paths-%s", l.gateway);
	gateway = listen_to(&l, topic);
	report(&l, "direct", "'rtt_ms':3,'rx_bytes':1,'tx_bytes':1");
	http_turn(l.w);
	const char *text = http_recv(l.w, client, &is_closed);
	EXPECT_HAS(text, "data: paths\n");
	EXPECT_HAS(text, ">direct</span> 3&nbsp;ms through <a href=\"/acme/gateways/");
	snprintf(region, sizeof(region), "data: path-%s\n", l.client);
	text = http_recv(l.w, gateway, &is_closed);
	EXPECT_HAS(text, region);
	EXPECT_HAS(text, "data: paths\n\n"); /* another client came: the list is stale */
	/* the same again changes nothing */
	report(&l, "direct", "'rtt_ms':3,'rx_bytes':1,'tx_bytes':1");
	http_turn(l.w);
	EXPECT_STR(http_recv(l.w, client, &is_closed), "");
	hang_up(l.g);
	http_turn(l.w);
	EXPECT_HAS(http_recv(l.w, client, &is_closed), "not connected to a gateway");
	EXPECT_HAS(http_recv(l.w, gateway, &is_closed), ">gone</span>");
	close(client);
	close(gateway);
	http_turn(l.w);
	hub_set_news(l.w->portal->portal.hub, NULL, NULL);
	http_free(l.w);
}

TEST(the_overview_ends_its_steps_with_the_first_connection)
{
	struct lab l = lab(true);
	const struct reply *r = get(l.w, "/acme/overview", 200);

	EXPECT(!strstr(r->body, "Until it works"));
	EXPECT_HAS(r->body, "It works: the first connection");
	EXPECT_HAS(r->body, "as soon as the gateway tells it");
	EXPECT_HAS(r->body, "data-when=status");
	EXPECT_HAS(r->body, "<line class=untold");
	EXPECT_HAS(r->body, "dotted: the gateway does not tell");
	report(&l, "direct", "'rtt_ms':3,'rx_bytes':1,'tx_bytes':1");
	r = get(l.w, "/acme/overview", 200);
	EXPECT_HAS(r->body, ">lab</a> through <a href=\"/acme/gateways/");
	EXPECT_HAS(r->body, ">direct</span> 3&nbsp;ms");
	EXPECT(!strstr(r->body, "data-when=status"));
	EXPECT(!strstr(r->body, "class=untold") && !strstr(r->body, "class=relayed"));
	report(&l, "relayed", "'rtt_ms':30,'rx_bytes':1,'tx_bytes':1");
	r = get(l.w, "/acme/overview", 200);
	EXPECT_HAS(r->body, "<line class=relayed");
	EXPECT_HAS(r->body, "dashed: relayed");
	http_free(l.w);
}

TEST(the_step_that_waits_ticks_itself_when_a_gateway_reports)
{
	struct lab l = lab(true);
	bool is_closed;
	int fd;

	hub_set_news(l.w->portal->portal.hub, &live_news, &l.w->portal->portal);
	fd = listen_to(&l, "overview,policies");
	report(&l, "direct", "'rtt_ms':3,'rx_bytes':1,'tx_bytes':1");
	const char *text = http_recv(l.w, fd, &is_closed);
	EXPECT_HAS(text, "data: first-path\n");
	EXPECT_HAS(text, "class=\"status good\"");
	report(&l, "direct", "'rtt_ms':4,'rx_bytes':1,'tx_bytes':1");
	EXPECT_STR(http_recv(l.w, fd, &is_closed), "");
	close(fd);
	http_turn(l.w);
	hub_set_news(l.w->portal->portal.hub, NULL, NULL);
	http_free(l.w);
}

TEST(traffic_paths_and_latency_are_drawn_with_their_figures)
{
	struct lab l = lab(true);
	const struct reply *r = get(l.w, "/acme/activity/traffic", 200);

	EXPECT_HAS(r->body, "Nothing was reported");
	r = get(l.w, "/acme/activity", 200);
	EXPECT_HAS(r->body, "/acme/activity/traffic");
	report(&l, "direct", "'rtt_ms':10,'rx_bytes':1048576,'tx_bytes':3145728");
	pass(&l, SEC(15));
	r = get(l.w, "/acme/activity/traffic", 200);
	EXPECT_HAS(r->body, "1.0 MiB");
	EXPECT_HAS(r->body, "3.0 MiB");
	for (u32 i = 0; i < 6; i++) {
		pass(&l, SEC(20));
		report(&l, i < 3 ? "direct" : "relayed", "'rtt_ms':10,'rx_bytes':0,'tx_bytes':0");
	}
	pass(&l, SEC(20));
	r = get(l.w, "/acme/activity/traffic", 200);
	EXPECT_HAS(r->body, "<td class=num>2</td>"); /* 95 s direct, 40 s relayed */
	EXPECT_HAS(r->body, "<td class=num>1</td>");
	EXPECT_HAS(r->body, "<td class=num>10</td>");
	EXPECT_HAS(r->body, "slowest 5 %");
	EXPECT_HAS(r->body, "<td class=num>–</td>"); /* hours without a round trip */
	EXPECT(r->body_len <= 60 * 1024);
	r = get(l.w, "/acme/overview", 200);
	EXPECT_HAS(r->body, "3.0 MiB");
	http_free(l.w);
}

static struct page a_page(void)
{
	return (struct page){ .account_name = "Acme", .account_slug = "acme", .base = "/acme", .viewer_name = "Jo", .viewer_email = "jo@acme.example", .csrf = "c",
			      .nonce = "n", .css = "/assets/app.css", .js = "/assets/app.js", .icons = "/i.svg", .favicon = "/f.svg", .theme = "",
			      .now = 1767225600000000, .section = SECTION_OVERVIEW, .title = "Overview", .live_topics = "overview,policies,resources" };
}

static void fill_chart(struct chart *c, const char *unit, const char *const *labels, const u64 *values)
{
	*c = (struct chart){ .title = "Traffic of clients per hour, UTC", .unit = unit, .labels = labels, .n_points = HOURS_SHOWN, .n_series = 2 };
	for (u32 s = 0; s < 2; s++) {
		c->series[s].name = "downloaded";
		c->series[s].values = values;
	}
	chart_scale(c);
}

TEST(an_overview_with_all_there_can_be_is_light)
{
	static const char name[] = "a-name-as-long-as-most", href[] = "/acme/resources/01234567-89ab-4cde-8123-456789abcdef";
	static struct topology t;
	struct connection_row rows[10];
	struct connections connections = { rows, 10 };
	struct overview_view v = { .n_done = 4, .connections = &connections, .latest = rows, .topology = &t, .has_bytes = true };
	const char *labels[HOURS_SHOWN];
	u64 values[HOURS_SHOWN];
	struct page page = a_page();
	struct strbuf o = { 0 };

	for (u32 i = 0; i < HOURS_SHOWN; i++) {
		labels[i] = "09:00";
		values[i] = 1234567890 + i;
	}
	fill_chart(&v.flows, "", labels, values);
	fill_chart(&v.bytes, "bytes", labels, values);
	for (u32 i = 0; i < 10; i++)
		rows[i] = (struct connection_row){ page.now, page.now, name, href, name, href, name, href, name, href, name, href, "203.0.113.255", true,
						   { .is_relayed = true, .has_rtt = true, .rtt_ms = 1234 } };
	for (u32 c = 0; c < TOPO_COLUMNS; c++)
		for (t.n[c] = 0; t.n[c] < TOPO_NODES_MAX; t.n[c]++)
			t.node[c][t.n[c]] = (struct topo_node){ .name = name, .href = href, .y = 1000 };
	for (t.n_lines = 0; t.n_lines < TOPO_LINES_MAX; t.n_lines++)
		t.line[t.n_lines] = (struct topo_line){ 1000, 1000, 1000, 1000, t.n_lines % 3 ? LINE_RELAYED : LINE_PLAIN };
	t.height = 1000;
	template_overview(&o, &page, &v);
	EXPECT(strbuf_ok(&o));
	if (strbuf_span(&o).n > 60 * 1024)
		test_fail(__FILE__, __LINE__, "%zu bytes", strbuf_span(&o).n);
	strbuf_free(&o);
}

TEST(names_of_gateways_are_escaped)
{
	struct paths paths = { .n = 1, .n_all = 1, .rows = { { .path = { .gateway_name = "<script>\"&" } } } };
	struct strbuf o = { 0 };

	template_client_paths(&o, "/acme", &paths);
	EXPECT(!strstr(strbuf_text(&o), "<script>"));
	EXPECT_HAS(strbuf_text(&o), "&lt;script&gt;");
	strbuf_free(&o);
}
