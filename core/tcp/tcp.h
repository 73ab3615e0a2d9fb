/* core/tcp/tcp.h: a small TCP of our own over IP packets, for DNS inside the tunnel (RFC 9293; spec 30 §10.4, §11).
 *
 * A stack has listeners and connections; packets go in, packets and events come out. Nothing of the operating system's TCP is involved:
 * the addresses exist only inside the tunnel.
 *
 *                 SYN for a listener                  ACK                 TCP_EVENT_ACCEPTED
 *   (listener) ─────────────────────▶ SYN-RECEIVED ─────────▶ ESTABLISHED ──────────────────▶ the user's, by handle
 *   tcp_stack_connect() ────────────▶ SYN-SENT ─────────────▶ ESTABLISHED (TCP_EVENT_CONNECTED)
 *
 *   the peer's FIN:       TCP_EVENT_READABLE, tcp_stack_read() says ERR_CLOSED when all before it was read; writing goes on (CLOSE-WAIT)
 *   tcp_stack_shutdown(): our FIN follows what was written; reading goes on (FIN-WAIT). Both ended: TCP_EVENT_CLOSED, handle gone
 *   tcp_stack_close():    handle gone at once; the stack delivers what was written, then FIN, in its own time
 *   tcp_stack_abort():    handle gone at once, RST
 *   RST, ICMP error, retries exhausted, idle too long, memory: TCP_EVENT_FAILED with the reason, handle gone once that was polled
 *
 * What it does: MSS option, window 65535 without scaling, RTO (RFC 6298) with back-off, fast retransmit and recovery (RFC 5681, 6582, IW10
 * of RFC 6928), segments out of order kept, zero-window probes, silly-window avoidance both ways, ACK at once, keyed initial sequence
 * numbers (RFC 6528), challenge ACKs with a limit (RFC 5961), ICMP errors believed only with a sequence number in flight (RFC 5927), new SYN
 * takes over a TIME-WAIT (RFC 6191 without timestamps). What it does not: SACK, timestamps, scaling, ECN, urgent data (read as plain data).
 *
 * Limits. A listener holds at most the number of connections it was given, half-open ones included; one more SYN gets RST, unless something
 * gives way: first a connection half open for TCP_HALF_OPEN_GRACE, then one whose peer has ended (CLOSE-WAIT) with nothing left to read, send
 * or acknowledge (TCP_EVENT_FAILED, ERR_LIMIT). Connections already closed by the user no longer count; of each listener as many again may be
 * on their way out, the oldest is then forgotten. Buffers grow with need and are given back when empty.
 *
 * Time is monotonic nanoseconds. After every door poll transmits and events until there are none. All doors are O(1) in the number of
 * connections but for listeners (at most TCP_LISTENERS_MAX, each at most its limit) and O(log n) for timers.
 */
#pragma once

#include "core/base/rng.h"
#include "core/base/time.h"
#include "core/ip/packet.h"

#define TCP_MTU TUNNEL_MTU
#define TCP_LISTENERS_MAX 128u
#define TCP_LISTEN_CONNS 10u           /* what a DNS server's listener is given (spec 30 §11) */
#define TCP_CONNS_MAX 1023u            /* of a stack, all states */
#define TCP_RECEIVE_MAX 65535u         /* bytes not yet read, of one connection: the window */
#define TCP_SEND_MAX 65537u            /* bytes not yet acknowledged: one DNS message of any length with its prefix */
#define TCP_MSS_MIN 536u               /* a peer that asks for smaller segments gets these */
#define TCP_RANGES_MAX 16u             /* gaps + 1 in what came out of order; a segment that would open one more is dropped */
#define TCP_REPLIES_MAX 64u            /* RSTs between two polls */
#define TCP_OUT_MAX 128u               /* packets between two inputs; the rest follow after the next input or timeout */
#define TCP_PORT_FIRST 49152u          /* own ports of connections we open, at random up to 65535 (spec 30 §1.2) */

#define TCP_RTO_INITIAL SEC(1)         /* RFC 6298 §2 */
#define TCP_RTO_MIN MSEC(200)          /* below RFC 6298's second: a query must not wait that long for one lost segment */
#define TCP_RTO_MAX SEC(60)
#define TCP_RETRIES 8u                 /* of the same data: some 50 s */
#define TCP_SYN_RETRIES 3u             /* 1, 2, 4, 8 s: given up after 15 s */
#define TCP_STALL_MAX SEC(60)          /* a peer that keeps its window shut this long is given up */
#define TCP_HALF_OPEN_GRACE SEC(1)
#define TCP_FIN_WAIT_MAX SEC(10)       /* closed by the user, the peer's FIN missing */
#define TCP_TIME_WAIT SEC(30)          /* holds no buffer */
#define TCP_CHALLENGES_MAX 10u         /* challenge ACKs of one connection in a second */

struct tcp_stack;
typedef u32 tcp_handle; /* 0 is none; a handle that is gone is never another connection's within four million of its slot */

struct tcp_stack_config {
	struct rng *rng;  /* borrowed */
	u64 idle_timeout; /* a connection on which no byte moved this long fails with ERR_TIMEOUT; 0 = never (spec 30 §11) */
};

struct tcp_stack *tcp_stack_new(const struct tcp_stack_config *cfg); /* NULL: out of memory */
void tcp_stack_free(struct tcp_stack *s);                            /* says nothing to anybody */

/* --- opening ------------------------------------------------------------------------------------------------------- */

/* ERR_EXISTS, ERR_LIMIT, ERR_NOMEM, ERR_INVAL (no address or port). */
int tcp_stack_listen(struct tcp_stack *s, const struct endpoint *local, u32 conns_max) MUST_CHECK;
/* Its connections are aborted (RST) without events. Unknown is fine. */
void tcp_stack_unlisten(struct tcp_stack *s, u64 now, const struct endpoint *local);
bool tcp_stack_is_listening(const struct tcp_stack *s, const struct endpoint *local);

/* local->port 0: a random free one. ERR_LIMIT, ERR_NOMEM, ERR_EXISTS (port given and in use), ERR_INVAL (families differ). */
int tcp_stack_connect(struct tcp_stack *s, u64 now, const struct endpoint *local, const struct endpoint *remote, tcp_handle *out) MUST_CHECK;

/* --- packets ------------------------------------------------------------------------------------------------------- */

/* One IP packet, parsed as `p`. 0: it was for a connection or a listener here, or an ICMP error about a connection, whatever became of it
 * (garbage is counted in stats). ERR_NOT_OURS: none of these; nothing was done. */
int tcp_stack_input(struct tcp_stack *s, u64 now, const u8 *data, const struct packet *p);
/* Answers a TCP packet that is not ours with RST (never one that is RST itself). */
void tcp_stack_refuse(struct tcp_stack *s, u64 now, const u8 *data, const struct packet *p);
/* The next IP packet, whole with checksums and TUN_HEADROOM; valid until the next tcp_stack_input(), _refuse() or
 * _timeout(). */
bool tcp_stack_poll_transmit(struct tcp_stack *s, struct tun_pkt *out);

void tcp_stack_timeout(struct tcp_stack *s, u64 now);
u64 tcp_stack_next_timeout(const struct tcp_stack *s); /* TIME_NEVER when idle; 0 when more packets wait than TCP_OUT_MAX */

/* --- events -------------------------------------------------------------------------------------------------------- */

enum tcp_event_type {
	TCP_EVENT_ACCEPTED,  /* a new connection on a listener */
	TCP_EVENT_CONNECTED, /* of tcp_stack_connect() */
	TCP_EVENT_READABLE,  /* bytes or the end came: read until ERR_AGAIN or ERR_CLOSED */
	TCP_EVENT_WRITABLE,  /* all that was written is acknowledged; or, after a short write, at least half of the room is free */
	TCP_EVENT_CLOSED,    /* ended both ways in good order after tcp_stack_shutdown(), all was read: the handle is gone */
	TCP_EVENT_FAILED,    /* `error` says why: the handle is gone */
};

struct tcp_event {
	enum tcp_event_type type;
	tcp_handle conn;
	struct endpoint local, remote;
	int error; /* FAILED: ERR_CLOSED (RST), ERR_TIMEOUT, ERR_NO_ROUTE (ICMP), ERR_DENIED (ICMP prohibited), ERR_LIMIT */
};

/* Each connection's events in the order of the list above. */
bool tcp_stack_poll_event(struct tcp_stack *s, struct tcp_event *out);

/* --- a connection: all of these ERR_NOT_FOUND when the handle is gone ---------------------------------------------- */

/* > 0: bytes moved into out. ERR_AGAIN: none there yet. ERR_CLOSED: the peer has ended and all was read. */
int tcp_stack_read(struct tcp_stack *s, u64 now, tcp_handle conn, struct mspan out);
/* >= 0: bytes taken, fewer than given when there is no room for more (also before the connection is established). ERR_STATE after
 * shutdown. ERR_NOMEM: none taken. */
int tcp_stack_write(struct tcp_stack *s, u64 now, tcp_handle conn, struct span data);
/* Bytes written but not acknowledged yet (spec 30 §11: the next query is read when this is 0). */
int tcp_stack_unsent(const struct tcp_stack *s, tcp_handle conn);
int tcp_stack_shutdown(struct tcp_stack *s, u64 now, tcp_handle conn);
void tcp_stack_close(struct tcp_stack *s, u64 now, tcp_handle conn);
void tcp_stack_abort(struct tcp_stack *s, u64 now, tcp_handle conn);

/* --- looking in ---------------------------------------------------------------------------------------------------- */

struct tcp_stack_stats {
	u64 rx_packets, rx_bad_checksum, rx_out_of_window, rx_out_of_order, rx_dropped; /* dropped: no room, no memory, too many ranges */
	u64 tx_packets, retransmits, timeouts, fast_retransmits, probes;
	u64 accepted, connected, refused; /* refused: RST to a SYN because the listener was full */
	u64 failed, recycled;             /* recycled: gave way to another */
	u64 resets_sent, replies_dropped, challenges, icmp_ignored;
	u32 conns;
	size_t buffered; /* bytes of memory in buffers now */
};
const struct tcp_stack_stats *tcp_stack_stats(const struct tcp_stack *s);
