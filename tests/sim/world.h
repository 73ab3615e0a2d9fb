/* tests/sim/world.h: one client, one gateway, two relays and a stub of the portal on a simulated internet (internet.h), all from one seed.
 *
 *	sim_new(seed)     draws the places (stacks, NATs, latencies, loss) and the policy
 *	sim_run(w, span)  virtual time passes; applications talk, invariants are checked at every packet
 *	sim_probe(w, …)   an application that repeats itself until it is answered
 *
 * Invariants, checked as packets pass: what reaches a resource comes from the client, is intact, at most once, and permitted by the policy as the
 * gateway was last told it; what reaches the application is the answer to what it sent, from a resource it has; no machine spins.
 * The policy oracle (portal.c) has its own filter check. A broken invariant is a test failure that names the seed, unless the world is on
 * trial: then the first one is kept in `verdict`, for tests that break one on purpose.
 */
#pragma once

#include "core/tunnel/client.h"
#include "core/tunnel/gateway.h"
#include "core/turn/server.h"
#include "tests/sim/internet.h"

#define SIM_PORT 52625u
#define SIM_RELAYS 2u
#define SIM_RESOURCES 11u
#define SIM_PROBES 32u
#define SIM_PORTS_MAX 64u
#define SIM_TAKEN_MAX 4096u /* ids of datagrams seen at the far end */

struct world;
struct sim_names;

/* A resource as the portal has it. */
struct sim_resource {
	struct uuid id;
	enum msg_resource_type type;
	struct cidr net;
	const char *pattern; /* of a DNS resource */
	enum msg_ip_stack stack, client_stack; /* client_stack: as the client was told */
	unsigned rank; /* of DNS resources that share a name the greater one is more specific */
	struct msg_filter filters[3];
	size_t n_filters;
	bool hides_filters; /* the client is told of none: the gateway must hold */
	bool is_granted;    /* the portal's opinion */
	u64 expires_at;     /* Unix seconds, of new authorizations */
	bool at_client, at_gateway; /* as each was last told, and with what */
	u64 gateway_expires_at;
	struct msg_filter gateway_filters[3];
	size_t n_gateway_filters;
	bool is_authorized; /* a flow was authorized by the gateway */
};

struct sim_message {
	struct sim_message *next;
	u64 at;
	bool is_to_client;
	const char *event;
	char *text;
};

struct sim_portal {
	struct sim_resource resources[SIM_RESOURCES];
	size_t n_resources;
	u64 latency;
	bool client_is_up, gateway_is_up; /* connected to it */
	u64 client_up_at, gateway_up_at;  /* when they come back; TIME_NEVER */
	u8 client_public[32], gateway_public[32];
	char client_key[48], gateway_key[48]; /* the same as text */
	struct sim_message *queue, **last;
	u64 last_at[2];
	u32 next_ref;
	struct sim_flow {
		bool is_open;
		struct uuid resource;
	} flows[64];
};

struct sim_relay {
	struct turn_server *server;
	struct inet_host *host;
	struct ip v4, v6;
	char secret[65];
	struct uuid id;
	bool is_announced;
	struct sim_port {
		struct turn_alloc *owner;
		u16 port;
		u8 family;
	} *ports[SIM_PORTS_MAX];
};

struct sim_probe {
	bool is_used, is_answered;
	bool is_endless; /* goes on after the answer */
	struct ip dst;
	u8 proto;
	u16 port;
	u64 next_at, first_at, answered_at;
};

struct world {
	u64 seed, now, wall_offset;
	struct rng_seeded rng, machine_rng;
	struct internet *net;
	struct inet_host *client_host, *gateway_host;
	struct client *client;
	struct gateway *gateway;
	struct sim_relay relays[SIM_RELAYS];
	struct sim_portal portal;
	struct sim_names *names; /* tests/sim/names.h; NULL: the world has none */
	bool client_has_v4, client_has_v6, gateway_has_v4, gateway_has_v6;
	struct box *client_box[2], *gateway_box[2];
	unsigned n_moves;
	bool is_failed, is_on_trial;
	char verdict[256];
	bool is_loud;

	struct sim_probe probes[SIM_PROBES];
	u64 next_id;
	u64 taken[SIM_TAKEN_MAX], answered[SIM_TAKEN_MAX];
	struct sim_answer {
		struct sim_answer *next;
		u32 len;
		struct vnet vnet;
		u8 data[];
	} *answers;
	u64 bytes_there, bytes_back;
	u64 iterations;
	u64 digest;
};

struct world *sim_new(u64 seed);
/* The same without any draw: both dual stack and public, 0.1 ms apart, nothing lost, one CIDR resource without filters (the first). */
struct world *sim_new_plain(void);
void sim_free(struct world *w);
void sim_run(struct world *w, u64 span);
static inline u64 sim_wall(const struct world *w)
{
	return w->now + w->wall_offset;
}

/* An application that sends to dst every 250 ms until the answer comes. UDP, or TCP as a super-packet of a stream. */
struct sim_probe *sim_probe(struct world *w, const struct ip *dst, u8 proto, u16 port);
/* What the far end says, on its way to the gateway's TUN. */
struct inner_spec;
void sim_answer(struct world *w, const struct inner_spec *s);
u64 sim_between(struct world *w, u64 lo, u64 hi);
void sim_draw_filters(struct world *w, struct sim_resource *r);
struct ip sim_tunnel_ip(bool client, u8 family);
void sim_client_pump(struct world *w);
/* Forgets all probes. */
void sim_silence(struct world *w);
void sim_fail(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Both ends lose IPv6 and get a NAT each that maps alike for everybody and filters as told. Before any time has passed. */
void sim_hide_behind_nats(struct world *w, enum dependence filtering);
/* Makes a TCP packet of `len` bytes what a TUN read with segmentation offload brings. */
struct vnet sim_super_packet(u8 *data, u32 len, u16 mss);

/* Disturbances. */
void sim_move_client(struct world *w);         /* new addresses; the system notices within half a second */
void sim_restart_gateway(struct world *w, bool says_goodbye);
void sim_restart_relay(struct world *w, unsigned i); /* state and credentials gone; the portal tells after a while */

/* --- portal.c: the stub and the oracle */
void sim_portal_init(struct world *w);
void sim_portal_free(struct world *w);
u64 sim_portal_next(const struct world *w);
void sim_portal_turn(struct world *w);
void sim_portal_take(struct world *w, bool from_client, const struct portal_message *m);
void sim_portal_disconnect(struct world *w, bool client, u64 up_at);
void sim_portal_grant(struct world *w, struct sim_resource *r);
void sim_portal_revoke(struct world *w, struct sim_resource *r);
void sim_portal_change_filters(struct world *w, struct sim_resource *r);
void sim_portal_announce_relays(struct world *w, const struct uuid *gone, const struct sim_relay *came);
/* A resource's own opinion of a packet, and whether any resource that the gateway (or the client) has allows it. */
bool sim_filter_allows(const struct msg_filter *f, size_t n, u8 proto, u16 port);
bool sim_gateway_may(const struct world *w, const struct ip *ip, u8 proto, u16 port);
bool sim_client_may(const struct world *w, const struct ip *ip);
