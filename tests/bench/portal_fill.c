/* A portal of some size, made quickly: portal_fill DIR CLIENTS RESOURCES. DIR is made as `portal init` makes it.
 *
 * RESOURCES names in one site, each with a policy for a group of its own; ACTORS actors, each in GROUPS_OF_ACTOR of those groups and with
 * CLIENTS / ACTORS clients, who are known devices already. The first CROWD clients are also in one group with one resource more. Prints
 *
 *	gateway TOKEN EXTERNAL-ID
 *	policy ID                                   of the crowd
 *	cookie NAME=VALUE                           of a browser in which the admin is signed in
 *	client TOKEN EXTERNAL-ID RESOURCE-ID        one line each; a resource that it may reach
 *
 * portal_fill DIR CLIENTS RESOURCES wide: all that a page could have much of, too: PLACES sites with a gateway each, TEAMS groups, CROWD_OF_ALL
 * actors who are all in one group, a pool of POOL clients, CONNECTIONS that stand, as many connects of devices, counters of all hours that are
 * kept, a trail of AUDIT_ROWS_MAX changes. The last TAIL clients have a word in common. Prints
 *
 *	api TOKEN
 *	a THING ID                                  one of each that has a page
 *
 * portal_fill DIR CLIENTS RESOURCES hubs: and what one change has thousands of consequences with: the group "Hub" and the resource "Hub" have a policy
 * with each resource and each group, the service account "Robot" has ROBOTS clients, the site "Berlin" as many gateways.
 */
#include "applets/portal/http/exchange_int.h"
#include "applets/portal/model/latency.h"
#include "applets/portal/state.h"
#include "platform/sys.h"

#include <stdio.h>
#include <stdlib.h>

#define ACTORS 1000u
#define GROUPS_OF_ACTOR 10u
#define CROWD 1000u
#define PLACES 1000u
#define TEAMS 4000u
#define CROWD_OF_ALL 10000u
#define POOL 1000u
#define CONNECTIONS 20000u
#define TAIL 500u
#define ROBOTS 2000u
#define TRAFFIC_KINDS (TRAFFIC_BUCKETS + LATENCY_BUCKETS)

static struct state state;
static struct uuid account, site;
static u64 wall;

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "portal_fill: %s: %s\n", what, why);
	exit(1);
}

static void must(int rc, const char *what)
{
	if (rc)
		die(what, state.portal.store ? store_reason(state.portal.store) : err_str(rc));
}

static struct uuid run(const char *noun, const char *verb, const struct admin_field *fields, u32 n)
{
	struct admin_request rq = { .noun = noun, .verb = verb, .n_fields = n };
	struct admin_reply reply;

	for (u32 i = 0; i < n; i++)
		rq.field[i] = fields[i];
	admin_run(&state.portal, &rq, &reply);
	if (reply.class != ADMIN_OK)
		die(noun, reply.reason);
	struct uuid id = reply.id;
	admin_reply_free(&reply);
	return id;
}

static struct entity fresh(void)
{
	return (struct entity){ .account_id = account, .id = uuid_random(state.portal.rng) };
}

static char *text(const char *fmt, u32 i)
{
	char buf[64], *copy = NULL;

	snprintf(buf, sizeof(buf), fmt, i);
	must(text_set(&copy, buf), "memory");
	return copy;
}

/* Stores the row and forgets all of it but its id. */
static struct uuid put(enum kind k, void *row)
{
	must(store_insert(state.portal.store, k, row, wall), kinds[k].name);
	struct uuid id = ((const struct entity *)row)->id;
	entity_deinit(k, row);
	return id;
}

static struct uuid put_group(const char *fmt, u32 i)
{
	struct group g;

	entity_init(KIND_GROUP, &g);
	g.e = fresh();
	g.name = text(fmt, i);
	return put(KIND_GROUP, &g);
}

static struct uuid put_resource(u32 i)
{
	struct resource r;

	entity_init(KIND_RESOURCE, &r);
	r.e = fresh();
	r.site_id = site;
	r.type = RESOURCE_DNS;
	r.name = text("application %u", i);
	r.address = text("app-%u.bench.example", i);
	r.ip_stack = STACK_DUAL;
	return put(KIND_RESOURCE, &r);
}

static struct uuid put_policy(const struct uuid *group, const struct uuid *resource)
{
	struct policy p;

	entity_init(KIND_POLICY, &p);
	p.e = fresh();
	p.group_id = *group;
	p.resource_id = *resource;
	return put(KIND_POLICY, &p);
}

static struct uuid put_actor(u32 i)
{
	struct actor a;

	entity_init(KIND_ACTOR, &a);
	a.e = fresh();
	a.type = ACTOR_USER;
	a.name = text("Person %u", i);
	a.email = text("person-%u@bench.example", i);
	return put(KIND_ACTOR, &a);
}

static void put_membership(const struct uuid *actor, const struct uuid *group)
{
	struct membership m;

	entity_init(KIND_MEMBERSHIP, &m);
	m.e = fresh();
	m.actor_id = *actor;
	m.group_id = *group;
	(void)put(KIND_MEMBERSHIP, &m);
}

static struct uuid put_token(enum kind k, enum token_type type, const struct uuid *owner, char out[static TOKEN_STRLEN])
{
	struct token t;

	entity_init(k, &t);
	t.e.account_id = account;
	t.owner_id = *owner;
	t.name = text("bench %u", 0);
	if (type != TOKEN_GATEWAY)
		t.expires_at = (i64)(wall / 1000) + 86400ll * 1000000;
	must(token_mint(&t, type, "", &state.portal.secrets, state.portal.rng, out), "token");
	return put(k, &t);
}

static struct uuid put_device(enum kind k, const struct uuid *owner, u32 i, const char *name)
{
	union any_entity e;

	entity_init(k, &e);
	e.e = fresh();
	e.device.owner_id = *owner;
	e.device.external_id = text(k == KIND_CLIENT ? "bench-client-%u" : "bench-gateway-%u", i);
	e.device.name = text(name, i);
	rng_fill(state.portal.rng, e.device.psk_base, sizeof(e.device.psk_base));
	must(store_insert_device(state.portal.store, k, &e.device, wall), "device");
	struct uuid id = e.e.id;
	entity_deinit(k, &e);
	return id;
}

/* As session_create() and exchange_set_cookie() make it. */
static void put_session(void)
{
	char name[64] = "sess_", cookie[COOKIE_STRLEN];
	u8 key[SHA256_LEN];
	struct portal_session s;
	u32 n;
	void *const *actors = directory_all(hub_directory(state.portal.hub), KIND_ACTOR, &account, &n);

	if (n == 0)
		die("admin", "not there");
	entity_init(KIND_PORTAL_SESSION, &s);
	s.e = fresh();
	s.actor_id = ((const struct actor *)actors[0])->e.id;
	s.expires_at = (i64)(wall / 1000) + 86400ll * 1000000;
	s.user_agent = text("bench %u", 0);
	s.remote_ip = text("127.0.0.%u", 1);
	struct uuid id = put(KIND_PORTAL_SESSION, &s);
	hmac_sha256(key, SPAN(state.portal.secrets.token_key, SECRET_LEN), SPAN_STR("emberbox cookies"));
	uuid_format(&account, name + 5);
	must(cookie_seal(key, name, SPAN(id.b, sizeof(id.b)), wall / NSEC_PER_SEC, 86400, cookie), "cookie");
	printf("cookie %s=%s\n", name, cookie);
}

static void put_connection(const struct uuid *policy, const struct uuid *resource, const struct uuid *client, const struct uuid *token,
			   const struct uuid *gateway)
{
	struct authorization a;

	entity_init(KIND_AUTHORIZATION, &a);
	a.e = fresh();
	a.policy_id = *policy;
	a.resource_id = *resource;
	a.client_id = *client;
	a.gateway_id = *gateway;
	a.token_id = *token;
	a.client_remote_ip = text("192.0.2.%u", 1);
	a.client_user_agent = text("Debian/12.0.0 headless-client/1.5.%u (x86_64)", 8);
	a.gateway_remote_ip = text("192.0.2.%u", 2);
	a.expires_at = (i64)(wall / 1000) + 86400ll * 1000000;
	(void)put(KIND_AUTHORIZATION, &a);
}

static void put_connect(const struct uuid *client, const struct uuid *token, u32 i)
{
	struct store_session s = { .account_id = account, .device_id = *client, .token_id = *token, .at = (i64)(wall / 1000) - i,
				   .public_key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", .remote_ip = "192.0.2.1", .version = "1.5.8",
				   .user_agent = "Debian/12.0.0 headless-client/1.5.8 (x86_64)", .region = "DE", .city = "Berlin" };

	must(store_insert_session(state.portal.store, &s), "connect");
}

static void put_counters(void)
{
	char name[TRAFFIC_NAME_MAX];

	for (u32 h = 0; h < STATS_DAYS * 24; h++)
		for (u32 what = 0; what < TRAFFIC_KINDS + 2; what++)
			must(store_stat_add(state.portal.store, &account, what < TRAFFIC_KINDS ? traffic_name(what, name) : what == TRAFFIC_KINDS ? "flows" : "client_connects",
					    wall - (u64)h * 3600 * NSEC_PER_SEC, 1 + (i64)(what * h % 977)), "counter");
}

/* Changes of one thing, as many as are kept. */
static void put_trail(const struct uuid *actor)
{
	struct actor a;

	must(store_get(state.portal.store, KIND_ACTOR, &account, actor, &a), "actor");
	for (u32 i = 0; i < AUDIT_ROWS_MAX; i++) {
		char *name = text("Person of %u names", i);
		must(text_set(&a.name, name), "memory");
		free(name);
		must(store_update(state.portal.store, KIND_ACTOR, &a, wall), "actor");
	}
	entity_deinit(KIND_ACTOR, &a);
}

struct owner {
	struct uuid id, token;
};

static void say(const char *thing, const struct uuid *id)
{
	char text[UUID_STRLEN];

	printf("a %s %s\n", thing, uuid_format(id, text));
}

static void put_people_of_all(const struct owner *owners)
{
	struct uuid all = put_group("All of them %u", 0);

	for (u32 i = 0; i < CROWD_OF_ALL; i++) {
		struct uuid actor = i < ACTORS ? owners[i].id : put_actor(i);
		put_membership(&actor, &all);
		if (i == 0)
			say("actor", &actor);
	}
	for (u32 i = 0; i < TEAMS; i++) {
		struct uuid team = put_group("team %u", i);
		for (u32 k = 0; k < 3; k++)
			put_membership(&owners[1 + (i * 3 + k) % (ACTORS - 1)].id, &team);
		if (i < 100)
			put_membership(&owners[0].id, &team);
	}
	say("group", &all);
}

static void fill_wide(const struct owner *owners, const struct uuid *resources, const struct uuid *policies, const struct uuid *clients, u32 n_clients)
{
	struct uuid gateway = put_device(KIND_GATEWAY, &site, 0, "gateway %u");
	char token[TOKEN_STRLEN];
	struct resource pool;
	struct actor robot;

	for (u32 i = 1; i < PLACES; i++) {
		struct site s;
		entity_init(KIND_SITE, &s);
		s.e = fresh();
		s.name = text("site %u", i);
		struct uuid id = put(KIND_SITE, &s);
		(void)put_device(KIND_GATEWAY, &id, i, "gateway %u");
		(void)put_token(KIND_GATEWAY_TOKEN, TOKEN_GATEWAY, i < PLACES / 10 ? &site : &id, token);
		if (i < PLACES / 2)
			(void)put_device(KIND_GATEWAY, &site, PLACES + i, "gateway %u");
	}
	put_people_of_all(owners);
	entity_init(KIND_RESOURCE, &pool);
	pool.e = fresh();
	pool.type = RESOURCE_POOL;
	pool.name = text("pool %u", 0);
	struct uuid pool_id = put(KIND_RESOURCE, &pool);
	for (u32 i = 0; i < POOL; i++) {
		struct pool_member m;
		entity_init(KIND_POOL_MEMBER, &m);
		m.e = fresh();
		m.resource_id = pool_id;
		m.client_id = clients[i];
		(void)put(KIND_POOL_MEMBER, &m);
	}
	for (u32 i = 0; i < CONNECTIONS; i++) {
		u32 client = i < CONNECTIONS / 10 ? 0 : i % n_clients, resource = i < CONNECTIONS / 5 ? 0 : i % 1000;
		struct owner who = owners[client / (n_clients / ACTORS)];
		put_connection(&policies[resource], &resources[resource], &clients[client], &who.token, &gateway);
		put_connect(&clients[client], &who.token, i);
	}
	put_counters();
	put_trail(&owners[1].id);
	entity_init(KIND_ACTOR, &robot);
	robot.e = fresh();
	robot.type = ACTOR_API;
	robot.name = text("robot %u", 0);
	struct uuid robot_id = put(KIND_ACTOR, &robot);
	(void)put_token(KIND_API_TOKEN, TOKEN_API, &robot_id, token);
	printf("api %s\n", token);
	say("robot", &robot_id);
	say("site", &site);
	say("gateway", &gateway);
	say("pool", &pool_id);
	say("resource", &resources[0]);
	say("policy", &policies[0]);
	say("client", &clients[0]);
}

static void fill_hubs(const struct uuid *groups, const struct uuid *resources, u32 n)
{
	struct uuid group = put_group("Hub", 0);
	struct resource hub;
	struct actor robot;

	entity_init(KIND_RESOURCE, &hub);
	hub.e = fresh();
	hub.site_id = site;
	hub.type = RESOURCE_CIDR;
	hub.name = text("Hub", 0);
	hub.address = text("10.9.0.0/24", 0);
	struct uuid resource = put(KIND_RESOURCE, &hub);
	entity_init(KIND_ACTOR, &robot);
	robot.e = fresh();
	robot.type = ACTOR_SERVICE;
	robot.name = text("Robot", 0);
	struct uuid robot_id = put(KIND_ACTOR, &robot);
	for (u32 i = 0; i < n; i++) {
		(void)put_policy(&group, &resources[i]);
		(void)put_policy(&groups[i], &resource);
	}
	for (u32 i = 0; i < ROBOTS; i++) {
		(void)put_device(KIND_CLIENT, &robot_id, 1000000 + i, "robot %u");
		(void)put_device(KIND_GATEWAY, &site, 1000000 + i, "gateway %u");
	}
}

static void fill(u32 n_clients, u32 n_resources, bool is_wide, bool is_hubs)
{
	struct uuid *groups = calloc(n_resources, sizeof(*groups)), *resources = calloc(n_resources, sizeof(*resources));
	struct uuid *policies = calloc(n_resources, sizeof(*policies)), *clients = calloc(n_clients, sizeof(*clients));
	struct owner owners[ACTORS];
	char token[TOKEN_STRLEN], id[UUID_STRLEN];
	u32 per_actor = n_clients / ACTORS;

	if (!groups || !resources || !policies || !clients)
		die("memory", "none");
	for (u32 i = 0; i < n_resources; i++) {
		groups[i] = put_group("group %u", i);
		resources[i] = put_resource(i);
		policies[i] = put_policy(&groups[i], &resources[i]);
	}
	struct uuid crowd = put_group("group %u", n_resources), crowds = put_resource(n_resources), policy = put_policy(&crowd, &crowds);
	(void)put_token(KIND_GATEWAY_TOKEN, TOKEN_GATEWAY, &site, token);
	printf("gateway %s bench-gateway\npolicy %s\n", token, uuid_format(&policy, id));
	put_session();
	for (u32 i = 0; i < ACTORS; i++) {
		struct uuid actor = put_actor(i);
		for (u32 k = 0; k < GROUPS_OF_ACTOR; k++)
			put_membership(&actor, &groups[(i * GROUPS_OF_ACTOR + k) % n_resources]);
		if (i * per_actor < CROWD)
			put_membership(&actor, &crowd);
		owners[i] = (struct owner){ actor, put_token(KIND_CLIENT_TOKEN, TOKEN_CLIENT, &actor, token) };
		for (u32 k = 0; k < per_actor; k++) {
			u32 number = i * per_actor + k;
			const struct uuid *resource = &resources[(i * GROUPS_OF_ACTOR + k % GROUPS_OF_ACTOR) % n_resources];
			clients[number] = put_device(KIND_CLIENT, &actor, number, is_wide && number + TAIL >= n_clients ? "client %u zebra" : "client %u");
			printf("client %s bench-client-%u %s\n", token, number, uuid_format(resource, id));
		}
	}
	if (is_wide)
		fill_wide(owners, resources, policies, clients, per_actor * ACTORS);
	if (is_hubs)
		fill_hubs(groups, resources, n_resources);
	free(groups);
	free(resources);
	free(policies);
	free(clients);
}

int main(int argc, char **argv)
{
	char why[STATE_WHY_MAX];
	struct hub_config hub = { 0 };
	bool is_hubs = argc == 5 && strcmp(argv[4], "hubs") == 0, is_wide = is_hubs || (argc == 5 && strcmp(argv[4], "wide") == 0), is_asked = argc == 4 || is_wide;
	u32 n_clients = is_asked ? (u32)strtoul(argv[2], NULL, 10) : 0, n_resources = is_asked ? (u32)strtoul(argv[3], NULL, 10) : 0;

	if (n_clients < ACTORS || n_resources < GROUPS_OF_ACTOR) {
		fprintf(stderr, "usage: portal_fill DIR CLIENTS RESOURCES [wide|hubs] (at least %u and %u)\n", ACTORS, GROUPS_OF_ACTOR);
		return 2;
	}
	if (state_init(argv[1], why) || state_open(&state, argv[1], &hub, why))
		die(argv[1], why);
	wall = sys_wall();
	(void)run("account", "add", (const struct admin_field[]){ { "name", "Bench" }, { "admin-email", "jo@bench.example" } }, 2);
	site = run("site", "add", (const struct admin_field[]){ { "name", "Berlin" } }, 1);
	const struct account *bench = directory_account_named(hub_directory(state.portal.hub), "bench");
	if (!bench)
		die("account", "not there");
	account = bench->e.id;
	must(store_begin(state.portal.store, STORE_DURABLE), "begin");
	fill(n_clients, n_resources, is_wide, is_hubs);
	must(store_commit(state.portal.store), "commit");
	state_close(&state);
	return fflush(stdout) ? 1 : 0;
}
