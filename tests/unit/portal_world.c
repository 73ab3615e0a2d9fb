#include "tests/unit/portal_world.h"

#include "core/base/encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

u64 portal_now, portal_wall;
const char *portal_file;

static u64 now(void)
{
	return portal_now;
}

static u64 wall(void)
{
	return portal_wall;
}

u64 portal_clock_now(void *ctx)
{
	(void)ctx;
	return portal_now;
}

u64 portal_clock_wall(void *ctx)
{
	(void)ctx;
	return portal_wall;
}

/* Europe/Test is two hours ahead of UTC. */
static int offset(void *ctx, struct span zone, i64 utc, i64 *out)
{
	(void)ctx;
	(void)utc;
	*out = 7200;
	return zone.n == 11 && memcmp(zone.p, "Europe/Test", 11) == 0 ? 0 : ERR_NOT_FOUND;
}

static const struct zones zones = { offset, NULL };

struct portal_world *portal_new(void)
{
	struct portal_world *w = calloc(1, sizeof(*w));
	char why[256] = "";

	portal_now = SEC(1000);
	portal_wall = 1800000000ull * NSEC_PER_SEC; /* Friday 2027-01-15 08:00 UTC */
	rng_seeded_init(&w->rng, 42);
	secrets_make(&w->portal.secrets, &w->rng.rng);
	w->portal.rng = &w->rng.rng;
	w->portal.zones = &zones;
	w->portal.now = now;
	w->portal.wall = wall;
	if (!EXPECT(store_open(&w->portal.store, portal_file ? portal_file : ":memory:", why, sizeof(why)) == 0))
		fprintf(stderr, "%s\n", why);
	EXPECT_EQ(hub_new(&w->portal.hub,
			  &(struct hub_config){ .store = w->portal.store,
						.secrets = &w->portal.secrets,
						.rng = &w->rng.rng,
						.zones = &zones,
						.api_url = "wss://portal.example/",
						.rate_capacity = 1000,
						.rate_refill = 1000 },
			  portal_now, portal_wall),
		  0);
	EXPECT_EQ(admin(w, "account add --name Acme --admin-email jo@acme.example --admin-name Jo"), 0);
	EXPECT_EQ(admin(w, "site add --name Berlin"), 0);
	return w;
}

static void fake_free(struct fake *f)
{
	peer_free(f->peer);
	ws_free(f->ws);
	json_free(f->root);
	free(f->json);
	free(f);
}

void portal_free(struct portal_world *w)
{
	for (u32 i = 0; i < w->n_fakes; i++)
		fake_free(w->fakes[i]);
	admin_reply_free(&w->reply);
	hub_free(w->portal.hub);
	store_close(w->portal.store);
	free(w);
}

/* ---- operator ---------------------------------------------------------------------------------------------------------------- */

static bool is_flag(const struct verb *v, const char *name)
{
	for (u32 i = 0; i < v->n_options; i++)
		if (strcmp(v->options[i].name, name) == 0)
			return v->options[i].type == OPT_FLAG;
	return false;
}

static char *next_word(char **at)
{
	char *p = *at + strspn(*at, " "), *end;

	if (!*p)
		return NULL;
	if (*p == '\'') {
		end = strchr(++p, '\'');
		*at = end + 1;
	} else {
		end = p + strcspn(p, " ");
		*at = end + (*end != 0);
	}
	*end = '\0';
	return p;
}

static int run_admin(struct portal_world *w, const struct principal *by, const char *command, bool is_json)
{
	char *line = strdup(command), *at = line, *word;
	struct admin_request rq = { .is_json = is_json, .by = by };
	const struct verb *v;

	rq.noun = next_word(&at);
	rq.verb = next_word(&at);
	v = find_verb(find_noun(rq.noun), rq.verb);
	while ((word = next_word(&at))) {
		struct admin_field *f = &rq.field[rq.n_fields++];

		if (strncmp(word, "--", 2) != 0) {
			*f = (struct admin_field){ "target", word };
			continue;
		}
		f->name = word + 2;
		f->value = v && is_flag(v, f->name) ? "true" : next_word(&at);
	}
	admin_reply_free(&w->reply);
	admin_run(&w->portal, &rq, &w->reply);
	free(line);
	return w->reply.status;
}

int admin(struct portal_world *w, const char *command)
{
	return run_admin(w, NULL, command, false);
}

enum admin_class admin_as(struct portal_world *w, const struct principal *by, const char *command)
{
	(void)run_admin(w, by, command, false);
	return w->reply.class;
}

struct principal principal_of(struct portal_world *w, enum principal_kind kind, const char *type, const char *name)
{
	struct principal p = { .kind = kind };
	const struct account *acme = directory_account_named(hub_directory(w->portal.hub), "acme");
	char command[300];

	if (strcmp(type, "user") == 0 || strcmp(type, "admin") == 0)
		snprintf(command, sizeof(command), "actor add --type %s --name %s --email %s@acme.example", type, name, name);
	else
		snprintf(command, sizeof(command), "actor add --type %s --name %s", type, name);
	EXPECT_EQ(admin(w, command), 0);
	p.account_id = acme->e.id;
	p.actor_id = w->reply.id;
	snprintf(p.actor_name, sizeof(p.actor_name), "%s", name);
	return p;
}

const char *admin_value(struct portal_world *w, const char *command, const char *member)
{
	static char out[8][512];
	static int turn;
	struct json_get g = JSON_GET;
	struct cJSON *root;
	char *text = out[turn++ % 8];

	text[0] = '\0';
	if (run_admin(w, NULL, command, true) || json_parse(SPAN(w->reply.out, strlen(w->reply.out)), NULL, &root)) {
		fprintf(stderr, "%s: %s\n", command, w->reply.err ? w->reply.err : "no JSON");
		return text;
	}
	snprintf(text, sizeof(out[0]), "%s", json_str(&g, root, member));
	json_free(root);
	return text;
}

const char *token_for(struct portal_world *w, const char *for_whom)
{
	char command[300];

	snprintf(command, sizeof(command), "token add %s", for_whom);
	return admin_value(w, command, "token");
}

/* ---- peers --------------------------------------------------------------------------------------------------------------------- */

static void deliver(struct fake *f)
{
	struct span out = ws_output(f->ws);

	if (!f->peer)
		return;
	u8 *copy = malloc(out.n + 1);
	memcpy(copy, out.n ? out.p : (const u8 *)"", out.n);
	size_t n = out.n;
	ws_output_done(f->ws, n);
	if (n > 0)
		peer_input(f->peer, portal_now, portal_wall, SPAN(copy, n));
	free(copy);
}

void say_topic(struct fake *f, const char *topic, const char *event, const char *payload)
{
	char *quoted = strdup(payload), *text = NULL;

	for (char *p = quoted; *p; p++)
		if (*p == '\'')
			*p = '"';
	int n = asprintf(&text, "{\"topic\":\"%s\",\"event\":\"%s\",\"payload\":%s,\"ref\":%llu}", topic, event, quoted,
			 (unsigned long long)f->ref++);
	EXPECT_EQ(ws_send_text(f->ws, SPAN(text, (size_t)n)), 0);
	free(text);
	free(quoted);
	deliver(f);
}

static const char *topic_of(const struct fake *f)
{
	static const char *const topics[] = { "client", "gateway", "relay" };

	return topics[f->role];
}

void say(struct fake *f, const char *event, const char *payload)
{
	say_topic(f, topic_of(f), event, payload);
}

static void keep(struct fake *f, struct span text)
{
	struct json_get g = JSON_GET;

	json_free(f->root);
	free(f->json);
	f->root = NULL;
	f->json = strndup((const char *)text.p, text.n);
	if (!EXPECT(json_parse(text, NULL, &f->root) == 0))
		return;
	f->payload = json_member(&g, f->root, "payload");
	snprintf(f->event, sizeof(f->event), "%s", json_str(&g, f->root, "event"));
	EXPECT_EQ(g.err, 0);
}

const char *hear(struct fake *f)
{
	f->event[0] = '\0';
	while (f->peer && !f->event[0]) {
		struct span out = peer_output(f->peer, portal_now, portal_wall);
		struct ws_event ev = { WS_NONE };
		size_t used = 0;

		if (out.n == 0)
			break;
		EXPECT_EQ(ws_input(f->ws, out, &used, &ev), 0);
		if (ev.type == WS_TEXT) {
			keep(f, ev.data);
		} else if (ev.type == WS_CLOSE) {
			f->closed = ev.code;
			memcpy(f->event, "close", 6);
		}
		peer_output_done(f->peer, used);
		if (used == 0)
			break;
	}
	return f->event;
}

const char *heard(const struct fake *f, const char *path)
{
	static char out[8][4096];
	static int turn;
	char *text = out[turn++ % 8], key[64];
	const struct cJSON *v = f->payload;
	u64 number;

	text[0] = '\0';
	for (const char *p = path; *p && v;) {
		size_t n = strcspn(p, ".");

		snprintf(key, sizeof(key), "%.*s", (int)n, p);
		p += n + (p[n] == '.');
		if (json_is_array(v)) {
			const struct cJSON *e = json_first(v);
			for (int i = atoi(key); i > 0 && e; i--)
				e = json_next(e);
			v = e;
		} else {
			struct json_get g = JSON_GET;
			v = json_member(&g, v, key);
		}
	}
	if (v && json_value_str(v))
		snprintf(text, sizeof(out[0]), "%s", json_value_str(v));
	else if (v && json_value_uint(v, JSON_UINT_MAX, &number) == 0)
		snprintf(text, sizeof(out[0]), "%llu", (unsigned long long)number);
	else if (v && json_is_null(v))
		snprintf(text, sizeof(out[0]), "null");
	else if (v && (json_is_true(v) || json_is_false(v)))
		snprintf(text, sizeof(out[0]), "%s", json_is_true(v) ? "true" : "false");
	else if (v)
		snprintf(text, sizeof(out[0]), "%zu", json_count(v));
	return text;
}

static void set(char *out, const char *value)
{
	snprintf(out, PHX_PARAM_STRLEN, "%s", value ? value : "");
}

struct fake *connect_as(struct portal_world *w, const struct connect *c)
{
	struct fake *f = calloc(1, sizeof(*f));
	struct phx_upgrade *u = calloc(1, sizeof(*u));
	struct hub_request rq = { .upgrade = u };
	const char *ip = c->ip ? c->ip : "198.51.100.7";
	u8 key[32];

	f->w = w;
	f->role = c->role;
	u->role = c->role;
	u->version = c->version;
	snprintf(u->token, sizeof(u->token), "%s", c->token);
	set(u->external_id, c->external_id);
	set(u->name, c->name ? c->name : c->external_id);
	set(u->ipv4, c->ipv4);
	set(u->ipv6, c->ipv6);
	set(u->port, "3478");
	memset(key, c->key, sizeof(key));
	if (c->role != MSG_ROLE_RELAY)
		base64_encode(u->public_key, sizeof(u->public_key), SPAN(key, sizeof(key)));
	set(u->user_agent, c->user_agent);
	phx_parse_user_agent(u->user_agent, &u->peer);
	EXPECT_EQ(ip_parse(SPAN(ip, strlen(ip)), &rq.remote_ip), 0);
	if (c->region)
		memcpy(rq.region, c->region, 2);
	if (c->city)
		city_set(rq.city, SPAN(c->city, strlen(c->city)));
	if (c->coordinates)
		rq.place = place_parse(SPAN(c->coordinates, strlen(c->coordinates)));
	if (hub_admit(w->portal.hub, portal_now, portal_wall, &rq, f, &f->peer, &f->refusal))
		f->peer = NULL;
	f->ws = ws_new(WS_CLIENT, NULL, &w->rng.rng);
	free(u);
	EXPECT(w->n_fakes < FAKES_MAX);
	w->fakes[w->n_fakes++] = f;
	return f;
}

void join(struct fake *f, const char *payload)
{
	say(f, "phx_join", payload);
}

static struct fake *join_now(struct fake *f, const char *payload)
{
	if (!EXPECT(f->peer != NULL)) {
		fprintf(stderr, "refused: %u %s\n", f->refusal.status, f->refusal.detail);
		return f;
	}
	join(f, payload);
	EXPECT_EVENT(f, "phx_reply");
	EXPECT_STR(heard(f, "status"), "ok");
	return f;
}

struct fake *join_client(struct portal_world *w, const char *t, const char *external_id, char key)
{
	struct connect c = { .role = MSG_ROLE_CLIENT, .token = t, .external_id = external_id, .key = key,
			     .user_agent = "Debian/12.0.0 headless-client/1.5.8 (x86_64)" };

	return join_now(connect_as(w, &c), "null");
}

struct fake *join_gateway(struct portal_world *w, const char *t, const char *external_id, char key)
{
	struct connect c = { .role = MSG_ROLE_GATEWAY, .token = t, .external_id = external_id, .key = key,
			     .user_agent = "Debian/12.0.0 gateway/1.5.2 (x86_64)" };

	return join_now(connect_as(w, &c), "null");
}

struct fake *join_relay(struct portal_world *w, const char *t, const char *stamp_secret)
{
	struct connect c = { .role = MSG_ROLE_RELAY, .token = t, .ipv4 = "203.0.113.7", .ipv6 = "2001:db8::7",
			     .user_agent = "Debian/12.0.0 relay/0.1.0" };
	char payload[200];

	snprintf(payload, sizeof(payload), "{'stamp_secret':'%s'}", stamp_secret);
	return join_now(connect_as(w, &c), payload);
}

void hang_up(struct fake *f)
{
	peer_eof(f->peer, portal_now, portal_wall);
	peer_free(f->peer);
	f->peer = NULL;
}

void tick(struct portal_world *w, u64 ns)
{
	u64 end = portal_now + ns;

	while (portal_now < end) {
		u64 next = time_min(hub_next_timeout(w->portal.hub), end), step = next > portal_now ? next - portal_now : 0;

		portal_now += step;
		portal_wall += step;
		if (step == 0 || portal_now < end || hub_next_timeout(w->portal.hub) <= portal_now)
			hub_timeout(w->portal.hub, portal_now, portal_wall);
		if (step == 0 && hub_next_timeout(w->portal.hub) <= portal_now) {
			test_fail(__FILE__, __LINE__, "a deadline stays in the past");
			return;
		}
	}
}
