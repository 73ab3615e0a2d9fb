/* tests/unit/wg_world.h: two WireGuard tunnels and the wire between them, in virtual time.
 *
 * Ends are called EAST and WEST. Inner packets are numbers; a packet sent without session waits in its end's queue, starts a
 * handshake, and leaves when the tunnel becomes sendable, as the owner of a tunnel is told to do. Everything that goes onto the
 * wire is logged.
 */
#pragma once

#include "core/wg/wg.h"
#include "tests/unit/test.h"

#define EAST 0
#define WEST 1
#define WORLD_FLIGHTS 2048u
#define WORLD_LOG 8192u
#define WORLD_IDS 4096u
#define WALL_START SEC(1700000000)
#define DATAGRAM_MAX 1400u

struct flight {
	u64 at;
	u64 order;
	u8 to;
	u16 len;
	u8 data[DATAGRAM_MAX];
};

struct wire_log {
	u64 at;
	u8 from;
	enum wg_type type;
	u16 len;
	bool is_dropped;
};

struct world_end {
	struct rng_seeded rng;
	struct wg_local local;
	struct wg wg;
	struct ip ip;
	u64 established_at, expired_at; /* TIME_NEVER until it happens */
	unsigned sendables;
	u32 queue[WG_QUEUE_MAX];
	unsigned queued;
	u8 times_received[WORLD_IDS];
	unsigned received, keepalives;
};

struct world {
	u64 now;
	i64 wall_shift;
	u64 latency, latency_spread;
	unsigned loss_percent;
	unsigned drop_next[2][5]; /* by sender and type: so many are lost */
	bool is_cut;              /* nothing arrives */
	struct rng_seeded rng;
	struct world_end end[2];
	struct flight flights[WORLD_FLIGHTS];
	unsigned n_flights;
	u64 order;
	struct wire_log log[WORLD_LOG];
	unsigned n_log;
	unsigned steps;
};

/* A world whose peers know each other's keys and share a PSK. One static instance; free with world_end(). */
struct world *world_begin(u64 seed);
void world_end(struct world *w);

u64 world_wall(const struct world *w);
void world_send(struct world *w, int from, u32 id);
void world_initiate(struct world *w, int from);
/* Moves what a tunnel wants to transmit onto the wire and notes its events. */
void world_collect(struct world *w, int from);
void world_put_on_wire(struct world *w, int from, const u8 *data, size_t len);
void world_deliver(struct world *w, int to, u8 *data, size_t len);
void world_run(struct world *w, u64 until);

/* How many messages of a type an end has sent, and when the nth (from 0) left; TIME_NEVER when there was none. */
unsigned world_count(const struct world *w, int from, enum wg_type type);
u64 world_sent_at(const struct world *w, int from, enum wg_type type, unsigned nth);
