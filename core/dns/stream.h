/* core/dns/stream.h: DNS over TCP, both ends: messages behind a length of two octets (RFC 1035 §4.2.2, RFC 7766). Sans-IO: the owner has
 * the connection, in the kernel or in the tunnel, moves bytes and closes it when it is over.
 *
 * Client: queries are pipelined and answered in any order; the connection is kept for later ones.
 *
 *      dns_tcp_client_ask ──▶ [pending] ── answer with its ID ───────────────────────────────▶ dns_tcp_client_poll: message
 *                                 └─────── end of stream, rubbish, silence for DNS_TCP_SILENCE ─▶ dns_tcp_client_poll: error
 *
 *   On the wire each query has an ID that no other pending one has; the caller's own comes back with the answer. A cancelled query keeps its
 *   ID until its answer came, which is swallowed. An answer to no query at all is rubbish. Idle for DNS_TCP_CLIENT_IDLE: over.
 *
 * Server: queries come out one by one, also while others are still unanswered; who asked is known by what the owner remembers (the ID).
 *
 *      bytes ──▶ dns_tcp_server_poll ──▶ query ──▶ dns_tcp_server_reply ──▶ bytes
 *
 *   Input rests (dns_tcp_server_wants_input() false) while DNS_TCP_SERVER_PENDING queries are open or DNS_TCP_OUT_REST bytes of answers are not
 *   taken. A peer that neither completes a query nor takes an answer for the idle time is disconnected, whatever bytes it trickles.
 *
 * Memory: buffers exist only while there is something in them; at most 65537 bytes + one chunk of input and DNS_TCP_OUT_MAX of output.
 */
#pragma once

#include "core/base/err.h"
#include "core/base/rng.h"
#include "core/base/time.h"
#include "core/dns/message.h"

#define DNS_TCP_CHUNK_MAX 65536u       /* bytes of one call of input */
#define DNS_TCP_OUT_MAX (512u << 10)
#define DNS_TCP_OUT_REST (64u << 10)
#define DNS_TCP_CLIENT_PENDING 200u    /* cancelled ones included */
#define DNS_TCP_CLIENT_IDLE SEC(10)    /* RFC 7766 §6.2.3: seconds, and less than servers grant */
#define DNS_TCP_SILENCE SEC(3)         /* with queries pending: the path is dead, or the server is */
#define DNS_TCP_SERVER_PENDING 32u
#define DNS_TCP_SERVER_IDLE SEC(10)

/* --- the end that asks ------------------------------------------------------------------------------------------------------- */

struct dns_tcp_client;

struct dns_tcp_client *dns_tcp_client_new(struct rng *rng, u64 now); /* NULL: out of memory */
void dns_tcp_client_free(struct dns_tcp_client *c);

/* `id` is the caller's name for it, unique among those pending. ERR_STATE: it is over. ERR_LIMIT: too many pending or too much to send.
 * ERR_MALFORMED: shorter than a header or longer than a message. ERR_NOMEM. */
int dns_tcp_client_ask(struct dns_tcp_client *c, u64 now, u32 id, struct span message) MUST_CHECK;
void dns_tcp_client_cancel(struct dns_tcp_client *c, u32 id); /* unknown ids are ignored */

/* At most DNS_TCP_CHUNK_MAX bytes; poll until false before the next. */
void dns_tcp_client_input(struct dns_tcp_client *c, u64 now, struct span bytes);
/* The stream ended: ERR_CLOSED by the peer; or why the connection could not be made or broke. */
void dns_tcp_client_end(struct dns_tcp_client *c, int error);

struct span dns_tcp_client_output(const struct dns_tcp_client *c);
void dns_tcp_client_output_done(struct dns_tcp_client *c, size_t n);

struct dns_tcp_answer {
	u32 id;
	int error;            /* 0, or why the connection is over */
	bool is_worth_again;  /* it had answered before: a new one may well answer this query */
	struct span message;  /* with the ID of the query as it was asked. Valid until the next call */
};
bool dns_tcp_client_poll(struct dns_tcp_client *c, struct dns_tcp_answer *out);

/* No more queries are taken; poll until false, then close. `*error` (may be NULL) 0: it was idle. */
bool dns_tcp_client_is_over(const struct dns_tcp_client *c, int *error);
u32 dns_tcp_client_pending(const struct dns_tcp_client *c);
void dns_tcp_client_timeout(struct dns_tcp_client *c, u64 now);
u64 dns_tcp_client_next_timeout(const struct dns_tcp_client *c);

/* --- the end that answers ---------------------------------------------------------------------------------------------------- */

struct dns_tcp_server;

struct dns_tcp_server *dns_tcp_server_new(u64 now, u64 idle); /* idle 0 = DNS_TCP_SERVER_IDLE. NULL: out of memory */
void dns_tcp_server_free(struct dns_tcp_server *s);

bool dns_tcp_server_wants_input(const struct dns_tcp_server *s);
/* At most DNS_TCP_CHUNK_MAX bytes, only while it wants input. */
void dns_tcp_server_input(struct dns_tcp_server *s, u64 now, struct span bytes);
/* The peer sends no more; what it asked is still answered. */
void dns_tcp_server_input_end(struct dns_tcp_server *s);

/* A query; valid until the next call. Each must end in reply or drop. */
bool dns_tcp_server_poll(struct dns_tcp_server *s, u64 now, struct span *query);
/* ERR_LIMIT: the peer takes no answers; ERR_MALFORMED: longer than a message; ERR_NOMEM. The query counts as answered in any case. */
int dns_tcp_server_reply(struct dns_tcp_server *s, u64 now, struct span message);
void dns_tcp_server_drop(struct dns_tcp_server *s, u64 now); /* it gets no answer */

struct span dns_tcp_server_output(const struct dns_tcp_server *s);
void dns_tcp_server_output_done(struct dns_tcp_server *s, u64 now, size_t n);

/* Close it: all is answered and sent after the peer's end, it idled, or it sent what is no DNS (`*error` ERR_MALFORMED; else 0). */
bool dns_tcp_server_is_over(const struct dns_tcp_server *s, int *error);
u32 dns_tcp_server_pending(const struct dns_tcp_server *s);
void dns_tcp_server_timeout(struct dns_tcp_server *s, u64 now);
u64 dns_tcp_server_next_timeout(const struct dns_tcp_server *s);
