/* tests/unit/peer_world.h: nodes on a simulated network in virtual time, with NATs, relays and a portal that passes candidates on.
 *
 *	struct pw *w = pw_new(seed);
 *	struct pw_relay *r = pw_relay(w, "198.51.100.1", NULL);
 *	struct pw_host *a = pw_host(w, NODE_CLIENT, "10.0.0.2:52625", PW_NAT_CONE, "203.0.113.1");
 *	pw_join(w, a);                     the portal tells it all relays
 *	pw_run(w, MSEC(100));
 *	pw_authorize(w, a, b);             both ends upsert; a controls
 *	pw_send(w, a, b, 100);  pw_run(w, SEC(1));  EXPECT_EQ(b->rx_packets, 1);
 */
#pragma once

#include "core/peer/node.h"

#define PW_HOSTS 8u
#define PW_RELAYS 4u
#define PW_QUEUE 4096u
#define PW_MAPPINGS 64u
#define PW_ALLOCS 8u
#define PW_CHANNELS 64u
#define PW_TEXTS 64u
#define PW_SIGNALS 256u

enum pw_nat { PW_NAT_NONE, PW_NAT_CONE, PW_NAT_SYMMETRIC };

struct pw_host {
	struct pw *w;
	unsigned index;
	struct uuid id;
	struct node *node;
	enum node_role role;
	struct endpoint v4, v6; /* private; v6 is never translated */
	enum pw_nat nat;
	struct ip public_ip;
	struct pw_mapping {
		struct endpoint inside, remote;
		u16 port;
		struct endpoint seen[16];
		unsigned n_seen;
	} mapping[PW_MAPPINGS];
	unsigned n_mappings;
	u16 next_port;
	bool is_dead;      /* neither sends nor receives */
	bool is_mute_portal; /* its candidates are not passed on */
	u32 latency_us;
	u32 portal_us;     /* so long do its candidates take to the other side */

	u8 psk_salt;
	u64 rx_packets, rx_bytes, rx_goodbyes, rx_bad;
	unsigned n_established, n_failed, n_closed, n_paths, n_no_relays, n_added, n_removed;
	enum node_path last_path;
	char added[PW_TEXTS][CANDIDATE_STRLEN], removed[PW_TEXTS][CANDIDATE_STRLEN]; /* latest of each */
	u64 established_at, failed_at;
	u64 first_rx_at;
	u64 tx_runs, tx_datagrams, max_run;
};

struct pw_relay {
	struct uuid id;
	struct endpoint v4, v6;
	bool is_dead;
	u32 latency_us;
	u16 next_port;
	struct pw_alloc {
		bool is_used;
		struct endpoint client, relayed4, relayed6;
		struct {
			u16 number;
			struct endpoint peer;
		} channel[PW_CHANNELS];
		unsigned n_channels;
	} alloc[PW_ALLOCS];
	u64 rx_requests, rx_channel_data, tx_channel_data, rx_refreshes;
};

struct pw_datagram {
	u64 due, order;
	struct endpoint src, dst;
	u8 *data;
	u32 len;
	u16 seg;
	u8 ecn;
};

/* A candidate on its way through the portal. */
struct pw_signal {
	u64 due;
	struct pw_host *from, *to;
	bool is_added;
	char text[CANDIDATE_STRLEN];
};

struct pw {
	u64 now, order;
	struct rng_seeded rng;
	struct pw_host host[PW_HOSTS];
	unsigned n_hosts;
	struct pw_relay relay[PW_RELAYS];
	unsigned n_relays;
	struct pw_datagram queue[PW_QUEUE];
	unsigned n_queue;
	struct pw_signal signal[PW_SIGNALS];
	unsigned n_signals;
	unsigned loss_percent;
	u32 jitter_us;
	bool (*drop)(struct pw *w, const struct endpoint *src, const struct endpoint *dst, const u8 *data, u32 len);
	bool is_data_filtered; /* for use by drop() */
	u64 dropped;
};

struct pw *pw_new(u64 seed);
void pw_free(struct pw *w);
struct pw_host *pw_host(struct pw *w, enum node_role role, const char *v4, enum pw_nat nat, const char *public_ip);
struct pw_relay *pw_relay(struct pw *w, const char *v4, const char *v6);
struct node_relay pw_relay_info(const struct pw_relay *r);
void pw_join(struct pw *w, struct pw_host *h);
struct node_peer pw_peer(struct pw *w, const struct pw_host *self, const struct pw_host *other, bool is_controlling);
int pw_upsert(struct pw *w, struct pw_host *self, struct pw_host *other, bool is_controlling);
void pw_authorize(struct pw *w, struct pw_host *initiator, struct pw_host *receiver);
void pw_run(struct pw *w, u64 duration);
/* Runs until the condition holds or the time is over; true when it held. */
#define PW_RUN_UNTIL(w, limit, cond)                                          \
	({                                                                    \
		u64 end_ = (w)->now + (limit);                                \
		while (!(cond) && (w)->now < end_)                            \
			pw_run((w), MSEC(1));                                 \
		(cond);                                                       \
	})
/* One inner packet of `len` bytes; the fast path when it is open, otherwise node_send(), whose result is returned. */
int pw_send(struct pw *w, struct pw_host *from, struct pw_host *to, u32 len);
void pw_send_run(struct pw *w, struct pw_host *from, struct pw_host *to, u32 len, unsigned count);
/* Moves whatever the nodes have to say; pw_run() does it by itself. */
void pw_collect(struct pw *w, struct pw_host *h);
void pw_inject(struct pw *w, struct pw_host *h, const char *from, const void *data, size_t len);
struct endpoint pw_ep(const char *s);
