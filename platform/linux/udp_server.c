#include "platform/udp_server.h"

#include "platform/linux/sockaddr.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#define CONTROL_SIZE CMSG_SPACE(sizeof(struct in6_pktinfo))

struct udp_server {
	int fd;
	bool is_wildcard;
	struct udp_server_stats stats;
};

/* An answer goes to where its request came from: both share name and control data. */
struct udp_batch {
	struct mmsghdr rx[UDP_BATCH_MAX], tx[UDP_BATCH_MAX];
	struct iovec rx_iov[UDP_BATCH_MAX], tx_iov[UDP_BATCH_MAX];
	union sockaddr_any names[UDP_BATCH_MAX];
	alignas(struct cmsghdr) u8 control[UDP_BATCH_MAX][CONTROL_SIZE];
	u32 n_tx;
	u8 requests[UDP_BATCH_MAX][UDP_REQUEST_MAX];
	u8 answers[UDP_BATCH_MAX][UDP_ANSWER_MAX];
};

/* --- sockets --- */

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

static int set_options(const struct udp_server *s, u8 family)
{
	int rc = 0;

	if (family == 6)
		rc |= set_int(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (s->is_wildcard)
		rc |= family == 4 ? set_int(s->fd, IPPROTO_IP, IP_PKTINFO, 1) : set_int(s->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	if (set_int(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, (int)UDP_SERVER_BUFFER) != 0)
		(void)set_int(s->fd, SOL_SOCKET, SO_RCVBUF, (int)UDP_SERVER_BUFFER);
	if (set_int(s->fd, SOL_SOCKET, SO_SNDBUFFORCE, (int)UDP_SERVER_BUFFER) != 0)
		(void)set_int(s->fd, SOL_SOCKET, SO_SNDBUF, (int)UDP_SERVER_BUFFER);
	return rc;
}

int udp_server_open(struct udp_server **out, const struct endpoint *local)
{
	union sockaddr_any sa;
	socklen_t len = sockaddr_from(&sa, local);
	struct udp_server *s = calloc(1, sizeof(*s));

	if (!s)
		return ERR_NOMEM;
	s->is_wildcard = ip_is_unspecified(&local->ip);
	s->fd = socket(local->ip.family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || set_options(s, local->ip.family) != 0 || bind(s->fd, &sa.sa, len) != 0) {
		int e = errno;
		udp_server_close(s);
		errno = e;
		return e == EADDRNOTAVAIL ? ERR_NOT_FOUND : sock_err(e);
	}
	*out = s;
	return 0;
}

void udp_server_close(struct udp_server *s)
{
	if (!s)
		return;
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

int udp_server_fd(const struct udp_server *s)
{
	return s->fd;
}

int udp_server_local(const struct udp_server *s, struct endpoint *out)
{
	union sockaddr_any sa;
	socklen_t len = sizeof(sa);

	if (getsockname(s->fd, &sa.sa, &len) != 0)
		return ERR_IO;
	return sockaddr_to(&sa, out) ? 0 : ERR_UNSUPPORTED;
}

const struct udp_server_stats *udp_server_stats(const struct udp_server *s)
{
	return &s->stats;
}

/* --- batches --- */

struct udp_batch *udp_batch_new(void)
{
	struct udp_batch *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	for (u32 i = 0; i < UDP_BATCH_MAX; i++) {
		b->rx_iov[i] = (struct iovec){ b->requests[i], UDP_REQUEST_MAX };
		b->rx[i].msg_hdr = (struct msghdr){ .msg_name = &b->names[i], .msg_iov = &b->rx_iov[i], .msg_iovlen = 1 };
	}
	return b;
}

void udp_batch_free(struct udp_batch *b)
{
	free(b);
}

u32 udp_server_recv(struct udp_server *s, struct udp_batch *b)
{
	for (u32 i = 0; i < UDP_BATCH_MAX; i++) {
		b->rx[i].msg_hdr.msg_namelen = sizeof(b->names[i]);
		b->rx[i].msg_hdr.msg_control = s->is_wildcard ? b->control[i] : NULL;
		b->rx[i].msg_hdr.msg_controllen = s->is_wildcard ? CONTROL_SIZE : 0;
	}
	b->n_tx = 0;
	int n = recvmmsg(s->fd, b->rx, UDP_BATCH_MAX, MSG_DONTWAIT, NULL);
	if (n <= 0)
		return 0;
	s->stats.receives++;
	s->stats.received += (u32)n;
	for (int i = 0; i < n; i++)
		s->stats.too_long += (b->rx[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
	return (u32)n;
}

static void read_control(struct msghdr *h, struct ip *to)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		const u8 *data = CMSG_DATA(c);
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;
			memcpy(&info, data, sizeof(info));
			*to = ip_from_bytes(4, (const u8 *)&info.ipi_spec_dst); /* where it was sent to, or the interface's own for broadcasts */
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			*to = ip_from_bytes(6, data); /* ipi6_addr comes first */
		}
	}
}

struct span udp_batch_request(const struct udp_batch *b, u32 i, struct endpoint *from, struct ip *to)
{
	struct msghdr h = b->rx[i].msg_hdr;

	*to = (struct ip){ 0 };
	*from = (struct endpoint){ 0 };
	if ((h.msg_flags & MSG_TRUNC) || !sockaddr_to(&b->names[i], from))
		return SPAN_NONE;
	if (h.msg_control)
		read_control(&h, to);
	return SPAN(b->requests[i], b->rx[i].msg_len);
}

struct mspan udp_batch_room(struct udp_batch *b, u32 i)
{
	return (struct mspan){ b->answers[i], UDP_ANSWER_MAX };
}

/* The source address alone: the way back is the routing table's, not the interface of the request. */
static socklen_t write_control(u8 *out, const struct ip *from)
{
	struct msghdr h = { .msg_control = out, .msg_controllen = CONTROL_SIZE };
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);

	memset(out, 0, CONTROL_SIZE);
	if (from->family == 4) {
		struct in_pktinfo info = { 0 };
		memcpy(&info.ipi_spec_dst, from->b, 4);
		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		return CMSG_SPACE(sizeof(info));
	}
	struct in6_pktinfo info = { 0 };
	memcpy(&info.ipi6_addr, from->b, 16);
	c->cmsg_level = IPPROTO_IPV6;
	c->cmsg_type = IPV6_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	return CMSG_SPACE(sizeof(info));
}

void udp_batch_answer(struct udp_batch *b, u32 i, size_t n)
{
	const struct msghdr *from = &b->rx[i].msg_hdr;
	struct ip to = { 0 };
	u32 k = b->n_tx++;

	b->tx_iov[k] = (struct iovec){ b->answers[i], n };
	b->tx[k].msg_hdr = (struct msghdr){ .msg_name = &b->names[i], .msg_namelen = from->msg_namelen, .msg_iov = &b->tx_iov[k], .msg_iovlen = 1 };
	if (!from->msg_control)
		return;
	struct msghdr h = *from;
	read_control(&h, &to);
	if (to.family == 0)
		return;
	b->tx[k].msg_hdr.msg_controllen = write_control(b->control[i], &to);
	b->tx[k].msg_hdr.msg_control = b->control[i];
}

void udp_server_send(struct udp_server *s, struct udp_batch *b)
{
	u32 at = 0;

	while (at < b->n_tx) {
		int n = sendmmsg(s->fd, b->tx + at, b->n_tx - at, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0) {
			s->stats.sends++;
			s->stats.sent += (u32)n;
			at += (u32)n;
		} else if (errno != EINTR) {
			s->stats.not_sent++; /* that one, for a reason of its own; the next may do */
			at++;
		}
	}
	b->n_tx = 0;
}

void udp_server_send_one(struct udp_server *s, const struct ip *from, const struct endpoint *to, struct span bytes)
{
	alignas(struct cmsghdr) u8 control[CONTROL_SIZE];
	union sockaddr_any sa;
	struct iovec iov = { (void *)(uintptr_t)bytes.p, bytes.n };
	struct msghdr h = { .msg_name = &sa, .msg_namelen = sockaddr_from(&sa, to), .msg_iov = &iov, .msg_iovlen = 1 };

	if (from->family != 0) {
		h.msg_controllen = write_control(control, from);
		h.msg_control = control;
	}
	if (sendmsg(s->fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		s->stats.not_sent++;
		return;
	}
	s->stats.sends++;
	s->stats.sent++;
}
