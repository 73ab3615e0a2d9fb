/* Recorded sessions of the reference client, gateway and relay, played against our portal: what they said is said again, and what they were
 * told must have the shape that the recorded portal's words had. Ids, keys and references differ; the test learns them by comparing. */
#include "core/base/encode.h"
#include "core/http/http.h"
#include "tests/unit/portal_world.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 64

struct play {
	struct portal_world *w;
	struct fake *peer[3]; /* by role */
	char gateway_token[300], client_token[300], relay_token[300];
	struct {
		char theirs[128], ours[128];
	} names[NAMES_MAX];
	u32 n_names, frames, differences;
};

static enum msg_role role_of(const char *name)
{
	return name[0] == 'c' ? MSG_ROLE_CLIENT : name[0] == 'g' ? MSG_ROLE_GATEWAY : MSG_ROLE_RELAY;
}

/* ---- the resources of the recording ---------------------------------------------------------------------------------------- */

static void add_resource(struct play *p, const struct cJSON *r)
{
	struct json_get g = JSON_GET;
	const struct cJSON *filters = json_array(&g, r, "filters"), *f = json_first(filters);
	const char *stack = json_member(&g, r, "ip_stack") ? json_str(&g, r, "ip_stack") : NULL;
	char command[500], filter[64] = "";

	if (f)
		snprintf(filter, sizeof(filter), " --filter tcp:%llu-%llu", (unsigned long long)json_uint(&g, f, "port_range_start", 65535),
			 (unsigned long long)json_uint(&g, f, "port_range_end", 65535));
	snprintf(command, sizeof(command), "resource add --site main --name %s --address %s%s%s%s", json_str(&g, r, "name"),
		 json_str(&g, r, "address"), filter, stack ? " --ip-stack " : "", stack ? stack : "");
	EXPECT_EQ(admin(p->w, command), 0);
	snprintf(command, sizeof(command), "policy add --group Everyone --resource %s", json_str(&g, r, "name"));
	EXPECT_EQ(admin(p->w, command), 0);
	EXPECT_EQ(g.err, 0);
}

static struct cJSON *next_line(FILE *f)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n = getline(&line, &cap, f);
	struct cJSON *out = NULL;

	if (n > 0)
		EXPECT_EQ(json_parse(SPAN(line, (size_t)n), NULL, &out), 0);
	free(line);
	return out;
}

static void add_resources(struct play *p, const char *path)
{
	FILE *f = fopen(path, "r");
	struct cJSON *line;

	while (f && (line = next_line(f))) {
		struct json_get g = JSON_GET;
		const struct cJSON *frame = json_object_opt(&g, line, "frame");
		const struct cJSON *payload = frame ? json_member(&g, frame, "payload") : NULL;
		const struct cJSON *list = payload ? json_array_opt(&g, payload, "resources") : NULL;

		json_each(r, list)
			add_resource(p, r);
		bool is_done = list != NULL;
		json_free(line);
		if (is_done)
			break;
	}
	if (f)
		fclose(f);
}

/* ---- comparing ---------------------------------------------------------------------------------------------------------------- */

static void learn(struct play *p, const char *theirs, const char *ours)
{
	if (strlen(theirs) < 16 || strlen(theirs) > 120 || strlen(ours) > 120)
		return;
	for (u32 i = 0; i < p->n_names; i++)
		if (strcmp(p->names[i].theirs, theirs) == 0) {
			snprintf(p->names[i].ours, sizeof(p->names[i].ours), "%s", ours);
			return;
		}
	if (!EXPECT(p->n_names < NAMES_MAX))
		return;
	snprintf(p->names[p->n_names].theirs, sizeof(p->names[0].theirs), "%s", theirs);
	snprintf(p->names[p->n_names++].ours, sizeof(p->names[0].ours), "%s", ours);
}

static void differ(struct play *p, const char *where, const char *what)
{
	p->differences++;
	test_fail(__FILE__, __LINE__, "%s: %s", where, what);
}

static const struct cJSON *named(const struct cJSON *array, const char *name)
{
	json_each(e, array) {
		struct json_get g = JSON_GET;
		if (strcmp(json_str(&g, e, "name"), name) == 0)
			return e;
	}
	return NULL;
}

/* What the recording and we must say alike. */
static bool is_fixed(const char *key)
{
	static const char *const fixed[] = { "name", "type", "addr", "protocol", "event", "status", "topic", "ip_stack", "ipv4", "ipv6",
					     "account_slug", "gateway_ipv4", "gateway_ipv6", "public_key", "gateway_public_key", "version",
					     "device_os_name" };

	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		if (strcmp(fixed[i], key) == 0)
			return true;
	return false;
}

static void compare(struct play *p, const char *where, const struct cJSON *theirs, const struct cJSON *ours)
{
	const char *key = json_key(theirs) ? json_key(theirs) : "", *a = json_value_str(theirs), *b = json_value_str(ours);
	char path[200];
	u64 x, y;

	snprintf(path, sizeof(path), "%s.%s", where, key);
	if (json_is_object(theirs) && json_is_object(ours)) {
		json_each(m, theirs) {
			struct json_get g = JSON_GET;
			const struct cJSON *mine = json_member(&g, ours, json_key(m));
			if (mine)
				compare(p, path, m, mine);
			else
				differ(p, path, json_key(m));
		}
		/* what we alone say to gateways (spec 10 §15) */
		struct json_get own = JSON_GET;
		size_t n_own = json_member(&own, ours, "emberbox") != NULL;
		if (json_count(theirs) + n_own != json_count(ours))
			differ(p, path, "we say more members");
	} else if (json_is_array(theirs) && json_is_array(ours)) {
		const struct cJSON *mine = json_first(ours);

		if (json_count(theirs) != json_count(ours))
			differ(p, path, "other number of elements");
		json_each(e, theirs) {
			struct json_get g = JSON_GET;
			const char *name = json_is_object(e) && json_member(&g, e, "name") ? json_str(&g, e, "name") : NULL;
			const struct cJSON *same = name ? named(ours, name) : mine;
			if (same)
				compare(p, path, e, same);
			else
				differ(p, path, name ? name : "an element is missing");
			mine = mine ? json_next(mine) : NULL;
		}
	} else if (a && b) {
		if (is_fixed(key) && strcmp(a, b) != 0)
			differ(p, path, b);
		learn(p, a, b);
	} else if (json_value_uint(theirs, JSON_UINT_MAX, &x) == 0 && json_value_uint(ours, JSON_UINT_MAX, &y) == 0) {
		if (x != y && strcmp(key, "expires_at") != 0)
			differ(p, path, "another number");
	} else if (json_is_null(theirs) && b && (strcmp(key, "actor_id") == 0 || strcmp(key, "device_os_version") == 0)) {
		/* the recorded portal did not know */
	} else if (json_is_null(theirs) != json_is_null(ours) || json_is_true(theirs) != json_is_true(ours) ||
		   json_is_false(theirs) != json_is_false(ours) || !a != !b || json_is_array(theirs) != json_is_array(ours)) {
		differ(p, path, "another type");
	}
}

/* ---- playing ----------------------------------------------------------------------------------------------------------------------- */

/* The recorded request, with a token that our portal knows. */
static void play_upgrade(struct play *p, const struct cJSON *line)
{
	struct json_get g = JSON_GET;
	enum msg_role role = role_of(json_str(&g, line, "role"));
	const char *tokens[] = { p->client_token, p->gateway_token, p->relay_token };
	struct http_parser *parser = http_parser_new(HTTP_REQUEST, 0);
	struct phx_upgrade *u = calloc(1, sizeof(*u));
	struct hub_request rq = { .upgrade = u, .remote_ip = ip4(192, 0, 2, 1) };
	struct fake *f = calloc(1, sizeof(*f));
	const char *detail;
	struct span body;
	char head[4096];
	size_t n, used;

	n = (size_t)snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\n", json_str(&g, line, "path"));
	json_each(h, json_array(&g, line, "headers")) {
		const char *name = json_value_str(json_first(h)), *value = json_value_str(json_next(json_first(h)));
		bool is_token = strcmp(name, "x-authorization") == 0;
		n += (size_t)snprintf(head + n, sizeof(head) - n, "%s: %s%s\r\n", name, is_token ? "Bearer " : value, is_token ? tokens[role] : "");
	}
	n += (size_t)snprintf(head + n, sizeof(head) - n, "\r\n");
	EXPECT_EQ(g.err, 0);
	EXPECT_EQ(http_parser_input(parser, SPAN(head, n), &used, &body), HTTP_HEAD);
	EXPECT_EQ(phx_upgrade_read(http_parser_head(parser), u, &detail), 0);
	f->w = p->w;
	f->role = role;
	if (!EXPECT_EQ(hub_admit(p->w->portal.hub, portal_now, portal_wall, &rq, f, &f->peer, &f->refusal), 0))
		fprintf(stderr, "%s\n", f->refusal.detail);
	f->ws = ws_new(WS_CLIENT, NULL, &p->w->rng.rng);
	p->w->fakes[p->w->n_fakes++] = f;
	p->peer[role] = f;
	http_parser_free(parser);
	free(u);
}

static char *translated(const struct play *p, const char *text)
{
	char *out = strdup(text);

	for (u32 i = 0; i < p->n_names; i++) {
		char *at;

		while ((at = strstr(out, p->names[i].theirs)) && strcmp(p->names[i].theirs, p->names[i].ours) != 0) {
			char *more = NULL;
			if (asprintf(&more, "%.*s%s%s", (int)(at - out), out, p->names[i].ours, at + strlen(p->names[i].theirs)) < 0)
				abort();
			free(out);
			out = more;
		}
	}
	return out;
}

static void play_in(struct play *p, struct fake *f, const struct cJSON *frame)
{
	struct json_out o = JSON_OUT;
	struct json_get g = JSON_GET;
	char *text;

	json_put_tree(&o, NULL, json_member(&g, frame, "payload"));
	text = strndup(o.buf, o.len);
	char *ours = translated(p, text);
	f->ref = json_uint(&g, frame, "ref", 1u << 30);
	say_topic(f, json_str(&g, frame, "topic"), json_str(&g, frame, "event"), ours);
	free(ours);
	free(text);
	json_out_free(&o);
}

static void play_out(struct play *p, struct fake *f, const struct cJSON *frame)
{
	struct json_get g = JSON_GET;

	EXPECT_STR(hear(f), json_str(&g, frame, "event"));
	if (f->root)
		compare(p, json_str(&g, frame, "event"), frame, f->root);
	p->frames++;
}

static void play(const char *path, u32 frames)
{
	struct play p = { .w = portal_new() };
	FILE *f = fopen(path, "r");
	struct cJSON *line;

	REQUIRE(f != NULL);
	EXPECT_EQ(admin(p.w, "account update acme --slug lab"), 0);
	EXPECT_EQ(admin(p.w, "actor update Jo --name Lab --email lab@example.test"), 0);
	EXPECT_EQ(admin(p.w, "site update Berlin --name main"), 0);
	add_resources(&p, path);
	snprintf(p.client_token, sizeof(p.client_token), "%s", token_for(p.w, "--actor Lab"));
	snprintf(p.gateway_token, sizeof(p.gateway_token), "%s", token_for(p.w, "--site main"));
	snprintf(p.relay_token, sizeof(p.relay_token), "%s", token_for(p.w, "--relay"));
	while ((line = next_line(f))) {
		struct json_get g = JSON_GET;
		const char *ev = json_str(&g, line, "ev");

		/* in the recording the relay had been there for a while */
		if (strcmp(ev, "upgrade") == 0) {
			tick(p.w, SEC(2));
			play_upgrade(&p, line);
		} else if (strcmp(ev, "frame") == 0) {
			struct fake *peer = p.peer[role_of(json_str(&g, line, "role"))];
			const struct cJSON *frame = json_object(&g, line, "frame");
			if (strcmp(json_str(&g, line, "dir"), "in") == 0)
				play_in(&p, peer, frame);
			else
				play_out(&p, peer, frame);
		}
		EXPECT_EQ(g.err, 0);
		json_free(line);
	}
	fclose(f);
	for (int role = 0; role < 3; role++)
		EXPECT_NOTHING(p.peer[role]);
	EXPECT_EQ(p.differences, 0);
	EXPECT_EQ(p.frames, frames);
	portal_free(p.w);
}

TEST(a_direct_session_of_the_reference_programs)
{
	play("tests/golden/direct.jsonl", 19);
}

TEST(a_relayed_session_of_the_reference_programs)
{
	play("tests/golden/relayed.jsonl", 21);
}
