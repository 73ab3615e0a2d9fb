/* A portal of some size, made quickly: portal_fill DIR CLIENTS RESOURCES. DIR is made as `portal init` makes it.
 *
 * RESOURCES names in one site, each with a policy for a group of its own; ACTORS actors, each in GROUPS_OF_ACTOR of those groups and with
 * CLIENTS / ACTORS clients, who are known devices already. The first CROWD clients are also in one group with one resource more. Prints
 *
 *	gateway TOKEN EXTERNAL-ID
 *	policy ID                                   of the crowd
 *	cookie NAME=VALUE                           of a browser in which the admin is signed in
 *	client TOKEN EXTERNAL-ID RESOURCE-ID        one line each; a resource that it may reach
 */
#include "applets/portal/http/exchange_int.h"
#include "applets/portal/state.h"
#include "platform/sys.h"

#include <stdio.h>
#include <stdlib.h>

#define ACTORS 1000u
#define GROUPS_OF_ACTOR 10u
#define CROWD 1000u

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

static struct uuid put_group(u32 i)
{
	struct group g;

	entity_init(KIND_GROUP, &g);
	g.e = fresh();
	g.name = text("group %u", i);
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

static void put_token(enum kind k, enum token_type type, const struct uuid *owner, char out[static TOKEN_STRLEN])
{
	struct token t;

	entity_init(k, &t);
	t.e.account_id = account;
	t.owner_id = *owner;
	t.name = text("bench %u", 0);
	if (type == TOKEN_CLIENT)
		t.expires_at = (i64)(wall / 1000) + 86400ll * 1000000;
	must(token_mint(&t, type, "", &state.portal.secrets, state.portal.rng, out), "token");
	(void)put(k, &t);
}

static void put_client(const struct uuid *actor, u32 i)
{
	struct client c;

	entity_init(KIND_CLIENT, &c);
	c.d.e = fresh();
	c.d.owner_id = *actor;
	c.d.external_id = text("bench-client-%u", i);
	c.d.name = text("client %u", i);
	rng_fill(state.portal.rng, c.d.psk_base, sizeof(c.d.psk_base));
	must(store_insert_device(state.portal.store, KIND_CLIENT, &c.d, wall), "client");
	entity_deinit(KIND_CLIENT, &c);
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

static void fill(u32 n_clients, u32 n_resources)
{
	struct uuid *groups = calloc(n_resources, sizeof(*groups)), *resources = calloc(n_resources, sizeof(*resources));
	char token[TOKEN_STRLEN], id[UUID_STRLEN];
	u32 per_actor = n_clients / ACTORS;

	if (!groups || !resources)
		die("memory", "none");
	for (u32 i = 0; i < n_resources; i++) {
		groups[i] = put_group(i);
		resources[i] = put_resource(i);
		(void)put_policy(&groups[i], &resources[i]);
	}
	struct uuid crowd = put_group(n_resources), crowds = put_resource(n_resources), policy = put_policy(&crowd, &crowds);
	put_token(KIND_GATEWAY_TOKEN, TOKEN_GATEWAY, &site, token);
	printf("gateway %s bench-gateway\npolicy %s\n", token, uuid_format(&policy, id));
	put_session();
	for (u32 i = 0; i < ACTORS; i++) {
		struct uuid actor = put_actor(i);
		for (u32 k = 0; k < GROUPS_OF_ACTOR; k++)
			put_membership(&actor, &groups[(i * GROUPS_OF_ACTOR + k) % n_resources]);
		if (i * per_actor < CROWD)
			put_membership(&actor, &crowd);
		put_token(KIND_CLIENT_TOKEN, TOKEN_CLIENT, &actor, token);
		for (u32 k = 0; k < per_actor; k++) {
			u32 number = i * per_actor + k;
			const struct uuid *resource = &resources[(i * GROUPS_OF_ACTOR + k % GROUPS_OF_ACTOR) % n_resources];
			put_client(&actor, number);
			printf("client %s bench-client-%u %s\n", token, number, uuid_format(resource, id));
		}
	}
	free(groups);
	free(resources);
}

int main(int argc, char **argv)
{
	char why[STATE_WHY_MAX];
	struct hub_config hub = { 0 };
	u32 n_clients = argc == 4 ? (u32)strtoul(argv[2], NULL, 10) : 0, n_resources = argc == 4 ? (u32)strtoul(argv[3], NULL, 10) : 0;

	if (n_clients < ACTORS || n_resources < GROUPS_OF_ACTOR) {
		fprintf(stderr, "usage: portal_fill DIR CLIENTS RESOURCES (at least %u and %u)\n", ACTORS, GROUPS_OF_ACTOR);
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
	fill(n_clients, n_resources);
	must(store_commit(state.portal.store), "commit");
	state_close(&state);
	return fflush(stdout) ? 1 : 0;
}
