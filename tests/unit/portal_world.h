/* tests/unit/portal_world.h: a whole portal without sockets, in virtual time, and peers that speak real WebSocket frames to it.
 *
 *	struct portal_world *w = portal_new();                   account "acme", admin jo@acme.example, site Berlin
 *	admin(w, "resource add --site Berlin --address 10.9.0.0/24 --name lab");
 *	struct fake *c = join_client(w, token_for(w, "--actor jo@acme.example"), "laptop", '1');
 *	EXPECT_EVENT(c, "init");                          the next frame; c->json is its text, c->payload its payload
 *	tick(w, SEC(1));
 *	EXPECT_NOTHING(c);
 */
#pragma once

#include "applets/portal/admin/verbs.h"
#include "core/base/rng.h"
#include "core/http/websocket.h"
#include "core/json/json.h"
#include "tests/unit/test.h"

#define FAKES_MAX 64

struct fake {
	struct portal_world *w;
	struct peer *peer;
	struct ws *ws;
	enum msg_role role;
	u64 ref;
	struct span pending; /* output of the peer not yet consumed */
	char *json;	     /* text of the frame taken last */
	struct cJSON *root;
	const struct cJSON *payload;
	char event[64];
	u16 closed; /* code of the Close frame; 0 = none */
	struct hub_refusal refusal;
};

struct portal_world {
	struct rng_seeded rng;
	struct portal portal;
	struct fake *fakes[FAKES_MAX];
	u32 n_fakes;
	struct admin_reply reply; /* of the last admin command */
};

extern u64 portal_now, portal_wall;
u64 portal_clock_now(void *ctx), portal_clock_wall(void *ctx); /* the same as a loop's clock */
extern const char *portal_file; /* of the next portal_new(); NULL: in memory */

struct portal_world *portal_new(void);
void portal_free(struct portal_world *w);

/* A command line after `emberbox portal`, words split at spaces, 'quoted' ones kept. Returns the exit status. */
int admin(struct portal_world *w, const char *command);
/* The same asked by somebody; the answer is in w->reply. */
enum admin_class admin_as(struct portal_world *w, const struct principal *by, const char *command);
/* An actor of acme, made and signed in: `type` as for `actor add`. */
struct principal principal_of(struct portal_world *w, enum principal_kind kind, const char *type, const char *name);
/* The member of the JSON object that a command prints (it is run with --json); static memory. "" when it failed. */
const char *admin_value(struct portal_world *w, const char *command, const char *member);
const char *token_for(struct portal_world *w, const char *for_whom);

/* What the owner of the sockets would do while that time passes. */
void tick(struct portal_world *w, u64 ns);

struct connect {
	enum msg_role role;
	enum msg_version version;
	const char *token, *external_id, *version_text, *user_agent, *ip, *region, *city, *coordinates, *ipv4, *ipv6, *name;
	char key; /* the public key is 32 times this byte */
};
/* NULL peer and `refusal` when refused. */
struct fake *connect_as(struct portal_world *w, const struct connect *c);
struct fake *join_client(struct portal_world *w, const char *token, const char *external_id, char key);
struct fake *join_gateway(struct portal_world *w, const char *token, const char *external_id, char key);
struct fake *join_relay(struct portal_world *w, const char *token, const char *stamp_secret);
void join(struct fake *f, const char *payload);
/* Breaks the connection without a word. */
void hang_up(struct fake *f);

/* `payload` is JSON text in which ' stands for ". */
void say(struct fake *f, const char *event, const char *payload);
void say_topic(struct fake *f, const char *topic, const char *event, const char *payload);

/* Takes the next frame: its event, "" when there is none, "close" for Close. */
const char *hear(struct fake *f);
/* The text of a member of the last payload, along a path like "client.preshared_key" or "relays.0.id"; "" when absent. */
const char *heard(const struct fake *f, const char *path);

#define EXPECT_EVENT(f, name) EXPECT_STR(hear(f), name)
#define EXPECT_NOTHING(f) EXPECT_STR(hear(f), "")
