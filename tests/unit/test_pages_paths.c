/* What the pages show of paths, latency and traffic, with a gateway that reports and one that does not. */
#include "tests/unit/page_world.h"

#include "applets/portal/news.h"

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

TEST(a_client_page_says_over_which_path_how_fast_and_through_whom)
{
	struct lab l = lab(true);
	const struct reply *r = get(l.w, path("/acme/clients/%s", l.client), 200);

	EXPECT_HAS(r->body, "not connected to a gateway that reports it");
	report(&l, "direct", "'rtt_ms':12,'rx_bytes':1,'tx_bytes':1");
	r = get(l.w, path("/acme/clients/%s", l.client), 200);
	EXPECT_HAS(r->body, ">direct</span> 12 ms through <a href=\"/acme/gateways/");
	EXPECT_HAS(r->body, ">gw</a>");
	report(&l, "relayed", "'rtt_ms':0,'rx_bytes':1,'tx_bytes':1");
	r = get(l.w, path("/acme/clients/%s", l.client), 200);
	EXPECT_HAS(r->body, ">relayed</span> under 1 ms through");
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
	EXPECT_HAS(r->body, ">relayed</span> 70 ms");
	EXPECT_HAS(r->body, ">laptop</a>");
	report(&l, "gone", "'rx_bytes':1,'tx_bytes':1");
	r = get(l.w, path("/acme/gateways/%s", l.gateway), 200);
	EXPECT_HAS(r->body, "No client is connected through it at present.");
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
	EXPECT_HAS(text, ">direct</span> 3 ms through <a href=\"/acme/gateways/");
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
