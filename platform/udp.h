/* platform/udp.h: UDP sockets that move many datagrams per system call (spec 20 §1).
 *
 * Receiving: recvmmsg with UDP_GRO into UDP_RX_MESSAGES buffers of 64 KiB, which belong to a `struct udp_ring` that the sockets of a lane
 * share. Sending: sendmmsg with UDP_SEGMENT. Where the kernel refuses segmentation the same bytes go out one by one and the socket
 * remembers it. What the system does not take at once is copied into the socket's backlog, so the caller's memory is free when
 * udp_send() returns:
 *
 *      udp_send ──▶ taken by the system ──────────────▶ 0
 *               └─▶ EAGAIN ──▶ backlog ───────────────▶ ERR_AGAIN: take no new input, wait for writability, udp_flush()
 *                              (full: dropped, counted)
 *
 * Errors of a single datagram are counted, never returned. Nothing here allocates after opening.
 */
#pragma once

#include "core/ip/datagram.h"

#define UDP_PORT 52625u            /* preferred port of client and gateway, spec 20 §1.1 */
#define UDP_MARK 0xfd002021u       /* SO_MARK of every socket of ours, spec 20 §1.3 */
#define UDP_SNDBUF (16u << 20)     /* spec 20 §1.2; overridden by FIREZONE_UDP_SEND_BUFFER_SIZE */
#define UDP_RCVBUF (128u << 20)    /* FIREZONE_UDP_RECV_BUFFER_SIZE */
#define UDP_RX_MESSAGES 8u         /* runs one udp_recv() yields at most */
#define UDP_RX_HEADROOM 64u        /* writable bytes before the first datagram of each run */
#define UDP_GSO_MAX 64u            /* segments of one message that every kernel with GSO takes */
#define UDP_BACKLOG_BYTES (1u << 20)
#define UDP_BACKLOG_RUNS 1024u

struct udp_sock;
struct udp_ring;

struct udp_config {
	struct ip bind;     /* family required; zero address = any */
	u16 port;           /* 0 = ephemeral */
	bool may_fall_back; /* to an ephemeral port when `port` is taken */
	u32 mark;           /* 0 = none */
	u32 sndbuf, rcvbuf; /* bytes, 0 = the system's default; best effort */
	bool no_backlog;    /* drop what is not taken at once: a server with thousands of sockets */
};

/* ERR_UNSUPPORTED: no such family here. ERR_EXISTS: port in use. ERR_DENIED: mark or port needs privileges. ERR_NOMEM, ERR_IO. */
int udp_open(struct udp_sock **out, const struct udp_config *cfg) MUST_CHECK;
void udp_close(struct udp_sock *s); /* NULL is allowed */
int udp_fd(const struct udp_sock *s);
u16 udp_port(const struct udp_sock *s);

struct udp_ring *udp_ring_new(void);
void udp_ring_free(struct udp_ring *r);

/* Runs received (1..min(max, UDP_RX_MESSAGES)), or ERR_AGAIN. Their memory is the ring's until the next udp_recv() with it. Datagrams
 * without a local address are left out (counted), so 0 is possible too: call again. */
int udp_recv(struct udp_sock *s, struct udp_ring *ring, struct udp_rx *out, size_t max);

/* Takes all n runs. 0: all gone. ERR_AGAIN: some are in the backlog. Runs go out in order. */
int udp_send(struct udp_sock *s, const struct udp_tx *tx, size_t n);
/* Retries the backlog: 0 when it is empty, ERR_AGAIN when not. */
int udp_flush(struct udp_sock *s);
bool udp_is_blocked(const struct udp_sock *s);

struct udp_stats {
	u64 rx_calls, rx_runs, rx_datagrams, rx_bytes;
	u64 rx_no_local;  /* without pktinfo: dropped */
	u64 rx_truncated; /* longer than the buffer: dropped */
	u64 rx_errors;
	u64 tx_calls, tx_messages, tx_datagrams, tx_bytes;
	u64 tx_errors;    /* datagrams the system refused: dropped */
	u64 tx_backlogged, tx_backlog_full; /* runs kept; runs dropped for want of room */
	u64 gso_disabled, tos_disabled;     /* 0 or 1 */
};
const struct udp_stats *udp_stats(const struct udp_sock *s);

/* The two sockets of a client, gateway or relay. Either may be missing; an error of one never touches the other. */
struct udp_pair {
	struct udp_sock *v4, *v6;
};

/* Opens both families with the product's options (port 52625 or ephemeral, mark, buffers, environment). 0 when at least one is open;
 * else the reason of the IPv4 one. `mark` 0 = none (tests, hosts without CAP_NET_ADMIN). */
int udp_pair_open(struct udp_pair *p, u16 port, u32 mark) MUST_CHECK;
void udp_pair_close(struct udp_pair *p);
/* Each run goes to the socket of its destination's family; runs for a missing family are dropped. Order holds within a family. */
int udp_pair_send(struct udp_pair *p, const struct udp_tx *tx, size_t n);
int udp_pair_flush(struct udp_pair *p);
