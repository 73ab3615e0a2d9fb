/* tests/unit/portal_scene.h: what the tests of the portal's hub begin with: an account with a lab everyone may use, a gateway and a client. Included by
 * the test files of the hub; each uses what it needs.
 */
#pragma once

#pragma GCC diagnostic ignored "-Wunused-function"

#include "tests/unit/portal_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STAMP_A "00000000000000000000000000000000000000000000000000000000000000aa"
#define STAMP_B "00000000000000000000000000000000000000000000000000000000000000bb"
#define STAMP_C "00000000000000000000000000000000000000000000000000000000000000cc"

#define CLIENT_UA "Debian/12.0.0 headless-client/1.5.8 (x86_64)"
#define GATEWAY_UA "Debian/12.0.0 gateway/1.5.2 (x86_64)"

/* A lab that everyone may use, a gateway and a client of Jo's, both joined and initialised. */
struct scene {
	struct portal_world *w;
	char resource[40], policy[40], client_token[300], gateway_token[300], relay_token[300];
	struct fake *c, *g;
};

static struct scene scene_without_peers(void)
{
	struct scene s = { .w = portal_new() };

	snprintf(s.resource, sizeof(s.resource), "%s",
		 admin_value(s.w, "resource add --site Berlin --address 10.9.0.0/24 --name lab", "id"));
	snprintf(s.policy, sizeof(s.policy), "%s", admin_value(s.w, "policy add --group Everyone --resource lab", "id"));
	snprintf(s.client_token, sizeof(s.client_token), "%s", token_for(s.w, "--actor jo@acme.example --expires 10d"));
	snprintf(s.gateway_token, sizeof(s.gateway_token), "%s", token_for(s.w, "--site Berlin"));
	snprintf(s.relay_token, sizeof(s.relay_token), "%s", token_for(s.w, "--relay"));
	return s;
}

static struct scene scene(void)
{
	struct scene s = scene_without_peers();

	s.g = join_gateway(s.w, s.gateway_token, "gw", 'g');
	EXPECT_EVENT(s.g, "init");
	s.c = join_client(s.w, s.client_token, "laptop", 'c');
	EXPECT_EVENT(s.c, "init");
	return s;
}

static void ask_flow(struct scene *s, const char *resource)
{
	char payload[200];

	snprintf(payload, sizeof(payload), "{'resource_id':'%s','connected_gateway_ids':[]}", resource);
	say(s->c, "create_flow", payload);
}

static void answer_flow(struct scene *s)
{
	char payload[300];

	snprintf(payload, sizeof(payload), "{'ref':'%s'}", heard(s->g, "ref"));
	say(s->g, "flow_authorized", payload);
	EXPECT_EVENT(s->g, "phx_reply");
	EXPECT_STR(heard(s->g, "status"), "ok");
}

/* From create_flow to flow_created. */
static void make_flow(struct scene *s)
{
	ask_flow(s, s->resource);
	EXPECT_EVENT(s->g, "authorize_flow");
	answer_flow(s);
	EXPECT_EVENT(s->c, "flow_created");
}

static int admin_f(struct portal_world *w, const char *format, const char *a)
{
	char command[600];

	snprintf(command, sizeof(command), format, a);
	return admin(w, command);
}

static unsigned status_of(struct portal_world *w, enum msg_role role, const char *t, const char *user_agent)
{
	struct connect c = { .role = role, .token = t, .external_id = "x", .key = 'x', .user_agent = user_agent, .ipv4 = "203.0.113.1" };
	struct fake *f = connect_as(w, &c);

	return f->peer ? 101 : f->refusal.status;
}

static void expect_failure(struct scene *s, const char *resource, const char *reason)
{
	ask_flow(s, resource);
	EXPECT_EVENT(s->c, "flow_creation_failed");
	EXPECT_STR(heard(s->c, "reason"), reason);
	EXPECT_STR(heard(s->c, "resource_id"), resource);
}
