#include "platform/udp_server.h"

#include "platform/linux/sockaddr.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define SPACE(size) ((socklen_t)CMSG_SPACE(size))
#define PKTINFO_SIZE SPACE(sizeof(struct in6_pktinfo))
#define CONTROL_SIZE (PKTINFO_SIZE + SPACE(sizeof(u16)))
#define NIL UINT16_MAX
#define HEADS 64u
#define SEGMENTS_MAX 64u     /* of one message, that every kernel takes */
#define SEGMENT_MAX 1232u    /* longer ones may not fit into a link's packet */
#define GSO_REFUSALS_MAX 16u /* then this socket's device evidently cannot */

struct udp_server {
	int fd;
	bool is_wildcard;
	u32 gso_refusals;
	struct udp_server_stats stats;
};

/* Answers of one length to one client: they leave as the segments of one message. */
struct run {
	u16 first, last; /* requests, linked by udp_batch.next */
	u16 n, len, chain;
};

/* An answer goes to where its request came from: both share name and control data. */
struct udp_batch {
	struct mmsghdr rx[UDP_BATCH_MAX], tx[UDP_BATCH_MAX];
	struct iovec rx_iov[UDP_BATCH_MAX], tx_iov[UDP_BATCH_MAX];
	union sockaddr_any names[UDP_BATCH_MAX];
	alignas(struct cmsghdr) u8 control[UDP_BATCH_MAX][CONTROL_SIZE];
	socklen_t control_len[UDP_BATCH_MAX];
	struct run runs[UDP_BATCH_MAX];
	u16 heads[HEADS]; /* by hash of client and length → run */
	u16 next[UDP_BATCH_MAX];
	u32 n_runs;
	u32 n_spent;      /* rx that the last call wrote into */
	bool has_control; /* rx have room for it */
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
	b->n_spent = UDP_BATCH_MAX;
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
	for (u32 i = 0; i < (s->is_wildcard == b->has_control ? b->n_spent : UDP_BATCH_MAX); i++) {
		b->rx[i].msg_hdr.msg_namelen = sizeof(b->names[i]);
		b->rx[i].msg_hdr.msg_control = s->is_wildcard ? b->control[i] : NULL;
		b->rx[i].msg_hdr.msg_controllen = s->is_wildcard ? PKTINFO_SIZE : 0;
	}
	b->has_control = s->is_wildcard;
	b->n_runs = 0;
	memset(b->heads, 0xff, sizeof(b->heads));
	int n = recvmmsg(s->fd, b->rx, UDP_BATCH_MAX, MSG_DONTWAIT, NULL);
	b->n_spent = n > 0 ? (u32)n : 0;
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

u32 udp_batch_scope(const struct udp_batch *b, u32 i)
{
	return b->names[i].sa.sa_family == AF_INET6 ? b->names[i].v6.sin6_scope_id : 0;
}

struct mspan udp_batch_room(struct udp_batch *b, u32 i)
{
	return (struct mspan){ b->answers[i], UDP_ANSWER_MAX };
}

/* The source address alone: the way back is the routing table's, not the interface of the request. */
static socklen_t write_control(u8 *out, const struct ip *from)
{
	struct msghdr h = { .msg_control = out, .msg_controllen = PKTINFO_SIZE };
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);

	memset(out, 0, PKTINFO_SIZE);
	if (from->family == 4) {
		struct in_pktinfo info = { 0 };
		memcpy(&info.ipi_spec_dst, from->b, 4);
		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		return SPACE(sizeof(info));
	}
	struct in6_pktinfo info = { 0 };
	memcpy(&info.ipi6_addr, from->b, 16);
	c->cmsg_level = IPPROTO_IPV6;
	c->cmsg_type = IPV6_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	return SPACE(sizeof(info));
}

static u32 client_hash(const union sockaddr_any *sa, size_t len)
{
	u32 h = (u32)len * 31u + sa->v4.sin_port; /* both families have it there */

	h += sa->sa.sa_family == AF_INET ? sa->v4.sin_addr.s_addr >> 24 : sa->v6.sin6_addr.s6_addr[15];
	return (h ^ h >> 6 ^ h >> 12) % HEADS;
}

static bool is_same_way(const struct udp_batch *b, u32 i, u32 k)
{
	const union sockaddr_any *x = &b->names[i], *y = &b->names[k];

	if (x->sa.sa_family != y->sa.sa_family || b->control_len[i] != b->control_len[k] ||
	    memcmp(b->control[i], b->control[k], b->control_len[i]) != 0)
		return false;
	if (x->sa.sa_family == AF_INET)
		return x->v4.sin_port == y->v4.sin_port && x->v4.sin_addr.s_addr == y->v4.sin_addr.s_addr;
	return x->v6.sin6_port == y->v6.sin6_port && x->v6.sin6_scope_id == y->v6.sin6_scope_id &&
	       memcmp(&x->v6.sin6_addr, &y->v6.sin6_addr, sizeof(x->v6.sin6_addr)) == 0;
}

/* The control data of the request becomes that of the answer. */
static void turn_control(struct udp_batch *b, u32 i)
{
	struct msghdr h = b->rx[i].msg_hdr;
	struct ip to = { 0 };

	b->control_len[i] = 0;
	if (!h.msg_control)
		return;
	read_control(&h, &to);
	if (to.family != 0)
		b->control_len[i] = write_control(b->control[i], &to);
}

void udp_batch_answer(struct udp_batch *b, u32 i, size_t n)
{
	u16 *head = &b->heads[client_hash(&b->names[i], n)];

	turn_control(b, i);
	b->next[i] = NIL;
	for (u16 k = *head; k != NIL; k = b->runs[k].chain) {
		struct run *r = &b->runs[k];
		if (r->len != n || r->n == SEGMENTS_MAX || n > SEGMENT_MAX || !is_same_way(b, r->first, i))
			continue;
		b->next[r->last] = (u16)i;
		r->last = (u16)i;
		r->n++;
		return;
	}
	b->runs[b->n_runs] = (struct run){ (u16)i, (u16)i, 1, (u16)n, *head };
	*head = (u16)b->n_runs++;
}

static void add_segment_size(struct msghdr *h, u8 *control, u16 size)
{
	socklen_t at = (socklen_t)h->msg_controllen;
	struct msghdr rest = { .msg_control = control + at, .msg_controllen = CONTROL_SIZE - at };
	struct cmsghdr *c = CMSG_FIRSTHDR(&rest);

	*c = (struct cmsghdr){ 0 };
	c->cmsg_level = IPPROTO_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(c), &size, sizeof(size));
	h->msg_control = control;
	h->msg_controllen = at + SPACE(sizeof(size));
}

static void message_of(struct udp_batch *b, struct mmsghdr *out, struct iovec *iov, u16 first, u16 n, u16 len)
{
	struct msghdr *h = &out->msg_hdr;

	*h = (struct msghdr){
		.msg_name = &b->names[first], .msg_namelen = b->rx[first].msg_hdr.msg_namelen, .msg_iov = iov, .msg_iovlen = n,
		.msg_control = b->control_len[first] ? b->control[first] : NULL, .msg_controllen = b->control_len[first],
	};
	u16 i = first;
	for (u16 k = 0; k < n; k++, i = b->next[i])
		iov[k] = (struct iovec){ b->answers[i], len };
	if (n > 1)
		add_segment_size(h, b->control[first], len);
}

/* The system would not cut it: piece by piece. */
static void send_pieces(struct udp_server *s, struct udp_batch *b, const struct run *r)
{
	struct mmsghdr m;
	struct iovec iov;
	u16 i = r->first;

	s->gso_refusals++;
	for (u16 k = 0; k < r->n; k++, i = b->next[i]) {
		message_of(b, &m, &iov, i, 1, r->len);
		if (sendmsg(s->fd, &m.msg_hdr, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			s->stats.not_sent++;
		else
			s->stats.sent++;
		s->stats.sends++;
	}
}

/* The messages of all runs; how many. */
static u32 make_messages(const struct udp_server *s, struct udp_batch *b)
{
	u32 n = 0, at = 0;

	for (u32 k = 0; k < b->n_runs; k++) {
		const struct run *r = &b->runs[k];
		if (s->gso_refusals < GSO_REFUSALS_MAX || r->n == 1) {
			message_of(b, &b->tx[n++], &b->tx_iov[at], r->first, r->n, r->len);
			at += r->n;
			continue;
		}
		for (u16 i = r->first; i != NIL; i = b->next[i])
			message_of(b, &b->tx[n++], &b->tx_iov[at++], i, 1, r->len);
	}
	return n;
}

/* musl's sendmmsg() is a loop over sendmsg(); its headers are the kernel's where the padding is zero, as it is here. */
static int send_messages(int fd, struct mmsghdr *m, u32 n)
{
	return (int)syscall(SYS_sendmmsg, fd, m, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool is_refusal(int e)
{
	return e == EIO || e == EINVAL || e == EMSGSIZE || e == EOPNOTSUPP || e == ENOPROTOOPT;
}

void udp_server_send(struct udp_server *s, struct udp_batch *b)
{
	u32 total = make_messages(s, b), at = 0;

	while (at < total) {
		int n = send_messages(s->fd, b->tx + at, total - at);
		if (n > 0) {
			s->stats.sends++;
			for (int k = 0; k < n; k++)
				s->stats.sent += b->tx[at + (u32)k].msg_hdr.msg_iovlen;
			at += (u32)n;
		} else if (errno != EINTR) {
			size_t segments = b->tx[at].msg_hdr.msg_iovlen;
			if (segments > 1 && is_refusal(errno))
				send_pieces(s, b, &b->runs[at]); /* with runs left whole, messages are runs */
			else
				s->stats.not_sent += segments; /* those, for a reason of their own; the next may do */
			at++;
		}
	}
	b->n_runs = 0;
}

void udp_server_send_one(struct udp_server *s, const struct ip *from, const struct endpoint *to, u32 scope, struct span bytes)
{
	alignas(struct cmsghdr) u8 control[PKTINFO_SIZE];
	union sockaddr_any sa;
	struct iovec iov = { (void *)(uintptr_t)bytes.p, bytes.n };
	struct msghdr h = { .msg_name = &sa, .msg_namelen = sockaddr_from(&sa, to), .msg_iov = &iov, .msg_iovlen = 1 };

	if (sa.sa.sa_family == AF_INET6)
		sa.v6.sin6_scope_id = scope;
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
