/* platform/linux/udp_message.h: options of UDP sockets and the control data of their messages, as udp.c and relay_udp.c need them alike. */
#pragma once

#include "core/ip/datagram.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define UDP_RX_BUFFER (64u * 1024u) /* a GRO run that is cut loses all its later datagrams (performance.md §6) */

int udp_set_int(int fd, int level, int option, int value);
/* Buffer sizes in bytes, beyond the system's limit where we are allowed to; 0: the system's. */
void udp_set_buffers(int fd, u32 sndbuf, u32 rcvbuf);

/* Local address, congestion mark and segment size of a received message; what it does not carry stays as it was. */
void udp_read_control(struct msghdr *h, struct udp_rx *rx);
/* Appends to a message whose control buffer is zeroed and large enough. */
void udp_put_control(struct msghdr *h, int level, int type, const void *data, size_t n);
void udp_put_source(struct msghdr *h, const struct ip *src);

/* How many datagrams a run holds. */
static inline u32 udp_datagrams_in(u32 len, u32 seg)
{
	return seg == 0 || seg >= len ? 1 : (len + seg - 1u) / seg;
}
