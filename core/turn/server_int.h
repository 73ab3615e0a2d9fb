/* core/turn/server_int.h: the inside of the TURN server, shared by
 *   server.c          requests and replies
 *   server_auth.c     who may ask: nonces, credentials, keys
 *   server_state.c    allocations, channels, permissions and their timers
 *   server_data.c     the data path
 */
#pragma once

#include "core/base/heap.h"
#include "core/base/table.h"
#include "core/stun/channel.h"
#include "core/stun/stun.h"
#include "core/turn/server.h"

#define CHANNEL_LIFETIME SEC(600)
#define CHANNEL_COOLDOWN SEC(300)
#define PERMISSION_LIFETIME SEC(300)
#define LIFETIME_DEFAULT 600u
#define LIFETIME_MAX 3600u
#define NONCE_TEXT 36u        /* a UUID's text, as Firezone's relays send it */
#define NONCE_LIFETIME 3600u  /* seconds; far beyond 10 000 requests of an honest client */
#define PORT_TRIES 64u        /* ports of a range found taken by other processes before we say 508 */
#define REPLY_MAX STUN_MAX_MESSAGE
#define ARENA_BYTES (64u * 1024u)

/* Keyed hash of a username; what an allocation remembers of its owner. */
struct user_id {
	u64 a, b;
};

struct turn_channel {
	struct turn_alloc *alloc;
	struct turn_channel *next, *prev; /* of the allocation */
	struct endpoint peer;
	u16 number;
	bool is_bound;   /* false: cooling down */
	bool is_own_ip;  /* the peer's address is one of ours: perhaps another allocation */
	u16 to_peer_tx, to_client_tx; /* last transmit of each direction, if it still says so itself (turn_tx.owner) */
	u64 expires;
	struct heap_node timer;
};

struct turn_permission {
	struct turn_permission *next;
	struct ip ip;
	u64 expires;
};

struct turn_alloc {
	struct endpoint client;
	struct ip local; /* address of ours that the client uses */
	u16 port;
	bool has4, has6;
	void *sock4, *sock6;
	struct user_id user;
	struct turn_alloc *user_next, *user_prev; /* other allocations of the same user */
	u8 txid[STUN_TXID]; /* of the Allocate, to answer its repetition (RFC rules) */
	u64 expires;
	struct heap_node timer;
	struct turn_channel *channels;
	struct turn_channel *last_number, *last_peer; /* where the previous packet of each direction went */
	struct turn_permission *permissions;
	u32 n_permissions, n_channels;
};

struct turn_static_user {
	char *name;
	u8 key[STUN_KEY];
};

struct turn_server {
	enum turn_rules rules;
	struct ip public4, public6;
	u16 lowest_port, highest_port;
	char realm[STUN_TEXT_MAX + 1], software[STUN_TEXT_MAX + 1];
	char *stamp_secret, *static_auth_secret;
	struct turn_static_user *users;
	size_t n_users;
	bool has_many_per_user, allows_loopback_peers;
	u32 user_quota;
	u16 channel_max;
	struct rng *rng;
	struct turn_ports ports;
	struct siphash_key nonce_key[2], user_key[2];

	struct turn_alloc **by_port; /* port - lowest_port */
	struct table by_client;      /* struct client_key */
	struct table by_user;        /* struct user_id -> first allocation */
	struct table by_number;      /* struct number_key -> struct turn_channel */
	struct table by_peer;        /* struct peer_key -> struct turn_channel, bound or cooling */
	struct table permissions;    /* struct permission_key -> struct turn_permission */
	struct heap alloc_timers, channel_timers;
	struct turn_alloc *last_client;

	struct turn_tx *tx;
	struct span *pieces;
	size_t n_tx;
	u8 *arena;
	size_t arena_used;
	struct turn_server_stats stats;
};

/* One request under treatment. */
struct turn_request {
	const struct stun_msg *m;
	struct endpoint client;
	struct ip local;
	u64 now, wall;
	struct user_id user;
	u8 key[STUN_KEY];
	bool has_key; /* the reply can be signed */
};

/* server_auth.c */
void auth_nonce(const struct turn_server *s, const struct endpoint *client, u64 now, char out[static NONCE_TEXT + 1]);
/* 0, or the error code to answer with. Fills in user and key as far as they can be known. */
int auth_check(const struct turn_server *s, struct turn_request *r);

/* server_state.c */
struct turn_alloc *alloc_of_client(struct turn_server *s, const struct endpoint *client);
struct turn_alloc *alloc_of_user(const struct turn_server *s, const struct user_id *user);
/* 0, or STUN_INSUFFICIENT_CAPACITY. Ports are open when it returns. */
int alloc_create(struct turn_server *s, const struct turn_request *r, bool has4, bool has6, u32 lifetime, struct turn_alloc **out);
void alloc_set_lifetime(struct turn_server *s, struct turn_alloc *a, u64 now, u32 lifetime);
void alloc_delete(struct turn_server *s, struct turn_alloc *a, const char *why);
bool alloc_ports_exhausted(const struct turn_server *s);
struct turn_channel *channel_by_number(const struct turn_server *s, const struct turn_alloc *a, u16 number);
struct turn_channel *channel_by_peer(const struct turn_server *s, const struct turn_alloc *a, const struct endpoint *peer);
int channel_create(struct turn_server *s, struct turn_alloc *a, u16 number, const struct endpoint *peer, u64 now);
void channel_bind(struct turn_server *s, struct turn_channel *c, u64 now);
bool permission_holds(const struct turn_server *s, const struct turn_alloc *a, const struct ip *ip, u64 now);
int permission_grant(struct turn_server *s, struct turn_alloc *a, const struct ip *ip, u64 now);

/* server_data.c: space for a message of at most REPLY_MAX bytes, and its sending. There always is room: see has_room(). */
u8 *arena_reserve(struct turn_server *s);
void send_message(struct turn_server *s, void *sock, const struct ip *src, const struct endpoint *dst, const u8 *p, size_t n);
void cancel_tx_of(struct turn_server *s, const void *sock4, const void *sock6);
void forget_tx_of(struct turn_server *s, const struct turn_channel *c);
void data_to_peer(struct turn_server *s, struct turn_alloc *a, u64 now, const struct endpoint *peer, u8 *p, size_t n);

/* server.c */
void handle_stun(struct turn_server *s, u64 now, u64 wall, const struct endpoint *client, const struct ip *local, struct mspan d);
/* The 401 and 438 of spec 50 §2.7; the rest of a reply's life is inside server.c. */
int build_challenge(const struct turn_server *s, const struct turn_request *r, int code, const char *nonce, u8 *buf, size_t cap);

static inline bool ip_is_v4(const struct ip *ip)
{
	return ip->family == 4;
}
