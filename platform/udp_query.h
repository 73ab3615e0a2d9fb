/* platform/udp_query.h: connected UDP sockets for questions and their answers.
 *
 * A connected socket lets in only what comes from the address and port asked (an IPv6 zone is not compared) and hears of closed ports and
 * missing routes. Its own port is drawn by the system, unpredictably. Descriptors are non-blocking, close-on-exec and the caller's to close.
 */
#pragma once

#include "core/ip/addr.h"

#define UDP_QUERY_BATCH 16u    /* datagrams of one call */
#define UDP_QUERY_BYTES 4096u  /* of a datagram received; a longer one is cut */

/* >= 0: a descriptor. mark 0 = none. ERR_UNSUPPORTED: no such family here. ERR_DENIED: the mark needs CAP_NET_ADMIN. ERR_NO_ROUTE. ERR_LIMIT:
 * out of descriptors. ERR_IO. */
int udp_query_open(const struct endpoint *dst, u32 mark) MUST_CHECK;

/* How many of n (at most UDP_QUERY_BATCH) went out, at least 1. ERR_AGAIN: the system takes none now. ERR_CLOSED: an earlier one met a
 * closed port. ERR_NO_ROUTE, ERR_DENIED (a firewall), ERR_LIMIT (too long for a datagram), ERR_IO. */
int udp_query_send(int fd, const struct span *datagrams, size_t n);

struct udp_query_ring {
	struct {
		u8 bytes[UDP_QUERY_BYTES];
	} slots[UDP_QUERY_BATCH];
};

struct udp_query_in {
	struct mspan data; /* in the ring */
	bool is_cut;
};

/* How many came, at least 1. ERR_AGAIN: none is waiting. Else as for sending: a reason that concerns all that was sent. */
int udp_query_recv(int fd, struct udp_query_ring *ring, struct udp_query_in out[static UDP_QUERY_BATCH]);
