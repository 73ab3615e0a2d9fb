/* core/turn/server.h: a STUN and TURN server over UDP without its sockets (RFC 8489, RFC 8656; spec 50 §2–§5).
 *
 * One server answers on one listening port per family and owns all allocations. It opens and closes the ports of allocations through
 * `struct turn_ports`, because the spec wants them bound before the success response leaves. Datagrams come in as the batches that one
 * system call brought and go out as `struct turn_tx`: gather lists that borrow the received memory, so that no payload is ever copied.
 *
 *      client ──STUN, ChannelData──▶ turn_server_input ────┐                       ┌──▶ listening socket ──▶ client
 *                                                          ├──▶ turn_server_tx ────┤
 *      peer ────raw UDP──▶ turn_server_peer_input ─────────┘    (coalesced per     └──▶ allocation's socket ──▶ peer
 *                                                                flow for GSO)
 *
 * Two sets of rules:
 *   TURN_RULES_FIREZONE  the deviations D1–D13 of spec 50 §1: one allocation per username, no permissions, no indications, any peer
 *   TURN_RULES_RFC       for any TURN client: permissions, Send and Data indications, several allocations per user, 441, repeated
 *                        Allocate answered again, loopback and multicast peers refused
 *
 * Channel (spec 50 §4.5): [bound] ──600 s──▶ [cooling] ──300 s──▶ gone; ChannelBind of the same pair revives it at any time.
 *
 * `now` monotonic ns, `wall` Unix ns (expiry of credentials only). Nothing on the data path allocates; per packet it costs one compare
 * (same flow as before) or one SipHash lookup. Memory per allocation: see turn_server_memory().
 */
#pragma once

#include "core/base/rng.h"
#include "core/base/time.h"
#include "core/ip/datagram.h"

#define TURN_PORT 3478u
#define TURN_LOWEST_PORT 49152u
#define TURN_HIGHEST_PORT 65535u
#define TURN_CHANNELS_MAX 262144u    /* of all allocations */
#define TURN_PERMISSIONS_MAX 256u    /* of one allocation; TURN_RULES_RFC only */
#define TURN_PERMISSIONS_ALL 262144u /* of all allocations */
#define TURN_USERS_MAX 1024u
#define TURN_TX_MAX 256u             /* transmits of one round */
#define TURN_TX_SEGMENTS 64u         /* datagrams in one transmit: what every kernel with GSO takes */
#define TURN_TX_PIECES (2u * TURN_TX_SEGMENTS)
#define TURN_TX_BYTES 65000u         /* below the longest UDP payload of both families */
#define TURN_TX_SEGMENT 1452u        /* longer datagrams may need IP fragments: they go alone */

struct turn_server;
struct turn_alloc;

enum turn_rules { TURN_RULES_FIREZONE, TURN_RULES_RFC };

/* How the server gets ports. `open` binds one socket of a family (4, 6) to `port` on the relay's bind address; its datagrams then go to
 * turn_server_peer_input() with `owner`. ERR_EXISTS: taken by somebody else, another port is tried. ERR_LIMIT and others: 508. */
struct turn_ports {
	int (*open)(void *ctx, struct turn_alloc *owner, u16 port, u8 family, void **sock);
	void (*close)(void *ctx, void *sock);
	void *ctx;
};

struct turn_user {
	const char *name;
	const char *password;
};

/* Everything is copied but rng and ports.ctx. */
struct turn_server_config {
	enum turn_rules rules;
	struct ip public4, public6; /* announced addresses; family 0 = not served; at least one */
	u16 lowest_port, highest_port;
	const char *realm;    /* Firezone: "firezone" */
	const char *software; /* SOFTWARE attribute */
	const char *stamp_secret;       /* Firezone credentials; NULL = none */
	const char *static_auth_secret; /* coturn's REST credentials; NULL = none */
	const struct turn_user *users;  /* long-term credentials */
	size_t n_users;
	bool has_wide_channels;    /* numbers up to 0x7FFF, for clients of RFC 5766 */
	bool has_many_per_user;    /* several allocations per username under Firezone rules */
	bool allows_loopback_peers; /* under RFC rules; Firezone rules allow any peer */
	u32 user_quota;            /* allocations of one username, 0 = no limit; beyond: 486 */
	struct rng *rng;
	struct turn_ports ports;
};

/* ERR_INVAL: no public address, an empty port range, too many or too long users. ERR_NOMEM. */
int turn_server_new(struct turn_server **out, const struct turn_server_config *cfg) MUST_CHECK;
/* Closes all ports. */
void turn_server_free(struct turn_server *s);

/* --- datagrams --------------------------------------------------------------------------------------------------------------- */

/* A batch and how far it was worked off; begin with at = offset = 0. Each rx needs 4 writable bytes before its data. */
struct turn_input {
	struct udp_rx *rx;
	size_t n;
	size_t at;
	u32 offset;
};

/* Datagrams that arrived on the listening port, or on the port of `a`. True: the list of transmits is full; send it, call
 * turn_server_tx_done() and call again with the same `in`. False: everything was taken; send what there is, then turn_server_tx_done().
 * The rx memory must stay until then. */
bool turn_server_input(struct turn_server *s, u64 now, u64 wall, struct turn_input *in);
bool turn_server_peer_input(struct turn_server *s, u64 now, struct turn_alloc *a, struct turn_input *in);

/* One datagram or GSO run to send, as a list of pieces: all segments but the last are `seg` bytes long. n_segments 0: cancelled. */
struct turn_tx {
	void *sock;          /* of turn_ports.open, or NULL: the listening socket of dst's family */
	struct ip src;       /* source address for the listening socket; family 0 = the system's choice */
	struct endpoint dst;
	u32 len;             /* of all pieces */
	u16 seg;
	u16 n_segments;
	u16 n_pieces;
	struct span *pieces; /* same layout as struct iovec */
	const void *owner;   /* internal: whose flow may append; NULL = nobody */
	u8 header[2][4];     /* internal: ChannelData headers of full segments and of the shorter last one */
};
const struct turn_tx *turn_server_tx(const struct turn_server *s, size_t *n);
void turn_server_tx_done(struct turn_server *s);

/* --- time and knowledge ------------------------------------------------------------------------------------------------------ */

void turn_server_timeout(struct turn_server *s, u64 now);
u64 turn_server_next_timeout(const struct turn_server *s);

struct turn_server_stats {
	u64 allocations, channels;    /* now */
	u64 rx_requests, tx_successes, tx_errors;
	u64 rx_bindings;
	u64 to_peer_packets, to_peer_bytes;     /* payload without the ChannelData header */
	u64 to_client_packets, to_client_bytes;
	u64 rx_garbage;      /* neither STUN nor ChannelData, or broken */
	u64 rx_port_zero;
	u64 rx_no_channel;   /* ChannelData without allocation or bound channel */
	u64 rx_no_peer;      /* peer data without channel or permission */
	u64 rx_forbidden;    /* Send without permission */
	u64 rx_unsupported;  /* indications and responses */
	u64 rx_too_long;     /* peer data that fits no Data indication */
	u64 ports_taken;     /* found in use by other processes */
	u64 tx_cancelled;    /* of allocations deleted in the same round */
	u64 capacity_refused; /* 486 and 508 */
};
const struct turn_server_stats *turn_server_stats(const struct turn_server *s);

/* Bytes in use for allocations, channels, permissions and their tables (not the fixed buffers). */
size_t turn_server_memory(const struct turn_server *s);
