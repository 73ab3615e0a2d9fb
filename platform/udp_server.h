/* platform/udp_server.h: a UDP socket of a server that answers many clients with small datagrams, many per system call.
 *
 *	n = udp_server_recv(s, batch)                     up to UDP_BATCH_MAX requests
 *	for each i: udp_batch_request(batch, i, &from, &to) → its bytes; write the answer into udp_batch_room(batch, i),
 *	            then udp_batch_answer(batch, i, bytes)
 *	udp_server_send(s, batch)                         those that were answered leave by one call; equally long ones for one client as
 *	                                                  segments of one message (UDP_SEGMENT), where the system does that
 *
 * What is answered later goes by udp_server_send_one(). What the system does not take at once is dropped and counted: clients ask again.
 * A socket on a wildcard address answers from the address that was asked. One batch serves any number of sockets, one after another.
 */
#pragma once

#include "core/base/err.h"
#include "core/ip/addr.h"

#define UDP_BATCH_MAX 128u
#define UDP_REQUEST_MAX 2048u /* bytes; longer ones are dropped, counted */
#define UDP_ANSWER_MAX 1280u
#define UDP_SERVER_BUFFER (4u << 20) /* wished; requests wait here while something takes long */

struct udp_server;
struct udp_batch;

/* ERR_EXISTS: port in use. ERR_DENIED: a port that needs privileges. ERR_NOT_FOUND: no interface has the address. ERR_UNSUPPORTED, ERR_NOMEM,
 * ERR_IO. */
int udp_server_open(struct udp_server **out, const struct endpoint *local) MUST_CHECK;
void udp_server_close(struct udp_server *s); /* NULL is allowed */
int udp_server_fd(const struct udp_server *s);
int udp_server_local(const struct udp_server *s, struct endpoint *out);

struct udp_batch *udp_batch_new(void); /* NULL: out of memory */
void udp_batch_free(struct udp_batch *b);

/* The number of requests, 0: none is waiting. */
u32 udp_server_recv(struct udp_server *s, struct udp_batch *b);
/* Empty for one that shall be passed over. `to`: the address that was asked, family 0 unless the socket is bound to a wildcard. */
struct span udp_batch_request(const struct udp_batch *b, u32 i, struct endpoint *from, struct ip *to);
/* The link on which a client with a link-local address is, else 0. */
u32 udp_batch_scope(const struct udp_batch *b, u32 i);
struct mspan udp_batch_room(struct udp_batch *b, u32 i);
void udp_batch_answer(struct udp_batch *b, u32 i, size_t n);
void udp_server_send(struct udp_server *s, struct udp_batch *b);
/* `scope`: udp_batch_scope() of the request. */
void udp_server_send_one(struct udp_server *s, const struct ip *from, const struct endpoint *to, u32 scope, struct span bytes);

struct udp_server_stats {
	u64 received, receives; /* datagrams, system calls */
	u64 sent, sends;
	u64 too_long, not_sent;
};
const struct udp_server_stats *udp_server_stats(const struct udp_server *s);
