/* platform/relay_udp.h: UDP sockets of a relay (spec 50 §6): a few that listen, thousands that relay.
 *
 * They differ from platform/udp.h in three ways: a socket costs a few bytes and has no backlog of its own; received batches are wider
 * (RELAY_RX_MESSAGES), for there are many senders; what is sent is a gather list, so that a ChannelData header can be put before, or
 * taken from, each datagram of a GRO run without moving the payload.
 *
 * What the system does not take at once is dropped and counted, as a router does: the socket's send buffer is the queue. Errors of
 * single datagrams are counted and never end anything. Nothing allocates after opening.
 */
#pragma once

#include "core/ip/datagram.h"

#define RELAY_RX_MESSAGES 64u
#define RELAY_RX_HEADROOM 64u
#define RELAY_GSO_MAX 64u /* segments of one message that every kernel with GSO takes */

struct relay_sock;
struct relay_ring;

struct relay_sock_config {
	struct ip bind;     /* family required; zero address = any */
	u16 port;
	bool wants_local;   /* listening: yields udp_rx.local, honours `src` when sending */
	u32 sndbuf, rcvbuf; /* bytes; best effort */
};

/* ERR_UNSUPPORTED: no such family here. ERR_EXISTS: port in use. ERR_NOT_FOUND: not an address of this host. ERR_DENIED, ERR_LIMIT (no
 * descriptors), ERR_NOMEM, ERR_IO. */
int relay_sock_open(struct relay_sock **out, const struct relay_sock_config *cfg) MUST_CHECK;

/* A second socket on the port of `first`, which from now on gets only datagrams whose first byte is below 4 (STUN): requests are then
 * never queued behind data. ERR_UNSUPPORTED: this system cannot; `first` goes on serving everything. */
int relay_sock_open_control(struct relay_sock **out, struct relay_sock *first, const struct relay_sock_config *cfg) MUST_CHECK;

void relay_sock_close(struct relay_sock *s); /* NULL is allowed */
int relay_sock_fd(const struct relay_sock *s);
/* The receive buffer that the system granted, in bytes as asked for. */
u32 relay_sock_rcvbuf(const struct relay_sock *s);

/* One ring serves all sockets of a loop. Only touched pages cost memory: 64 KiB per message at most. */
struct relay_ring *relay_ring_new(void);
void relay_ring_free(struct relay_ring *r);

/* Runs received, at most RELAY_RX_MESSAGES, or ERR_AGAIN. Their memory, with RELAY_RX_HEADROOM writable bytes before each, is the ring's
 * until the next call with it. 0 is possible: call again. Empty datagrams are runs of length 0. */
int relay_sock_recv(struct relay_sock *s, struct relay_ring *ring, struct udp_rx out[static RELAY_RX_MESSAGES]);

/* One datagram, or a run of `seg`-byte datagrams (the last may be shorter) when len > seg. */
struct relay_tx {
	const struct ip *src; /* family 0 = the system's choice */
	const struct endpoint *dst;
	const struct span *pieces;
	u32 n_pieces;
	u32 len;
	u16 seg;
};
/* `ring` counts. */
void relay_sock_send(struct relay_sock *s, struct relay_ring *ring, const struct relay_tx *tx);

struct relay_io_stats {
	u64 rx_calls, rx_runs, rx_datagrams, rx_bytes, rx_truncated, rx_errors;
	u64 tx_calls, tx_datagrams, tx_bytes;
	u64 tx_full;      /* datagrams dropped because the send buffer was full */
	u64 tx_errors;    /* datagrams the system refused */
	u64 gso_refused;  /* runs that went out one by one */
};
/* Of all sockets that share a ring. */
const struct relay_io_stats *relay_io_stats(const struct relay_ring *r);
