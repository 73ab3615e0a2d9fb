#define LOG_TARGET "platform::relay_udp"
#include "platform/relay_udp.h"

#include "core/base/err.h"
#include "core/base/log.h"
#include "platform/linux/sockaddr.h"
#include "platform/linux/udp_message.h"

#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif

#define RX_CONTROL (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)))
#define TX_CONTROL (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(u16)))
#define STUN_FIRST_BYTE_END 4u
#define GSO_REFUSALS_MAX 16u /* then this socket's device evidently cannot */

/* A gather list of ours is one of the kernel's. */
static_assert(sizeof(struct span) == sizeof(struct iovec), "struct span and struct iovec differ");
static_assert(offsetof(struct span, n) == offsetof(struct iovec, iov_len), "struct span and struct iovec differ");

struct relay_sock {
	int fd;
	u16 port;
	u8 family;
	u8 gso_refusals;
};

struct relay_ring {
	struct relay_io_stats stats;
	struct mmsghdr msgs[RELAY_RX_MESSAGES];
	struct iovec iovs[RELAY_RX_MESSAGES];
	union sockaddr_any names[RELAY_RX_MESSAGES];
	alignas(struct cmsghdr) u8 control[RELAY_RX_MESSAGES][RX_CONTROL];
	u8 bytes[RELAY_RX_MESSAGES][RELAY_RX_HEADROOM + UDP_RX_BUFFER];
};

/* ---- opening ---- */

static int set_options(int fd, const struct relay_sock_config *cfg)
{
	int rc = 0;

	if (cfg->bind.family == 6)
		rc |= udp_set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (cfg->wants_local && cfg->bind.family == 4)
		rc |= udp_set_int(fd, IPPROTO_IP, IP_PKTINFO, 1);
	if (cfg->wants_local && cfg->bind.family == 6)
		rc |= udp_set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	(void)udp_set_int(fd, IPPROTO_UDP, UDP_GRO, 1);
	udp_set_buffers(fd, cfg->sndbuf, cfg->rcvbuf);
	return rc;
}

static int open_err(int e)
{
	if (e == EMFILE || e == ENFILE)
		return ERR_LIMIT;
	return e == EADDRNOTAVAIL ? ERR_NOT_FOUND : sock_err(e);
}

static int open_socket(struct relay_sock **out, const struct relay_sock_config *cfg, bool shares_port)
{
	union sockaddr_any sa;
	struct relay_sock *s = calloc(1, sizeof(*s));

	if (!s)
		return ERR_NOMEM;
	s->family = cfg->bind.family;
	s->port = cfg->port;
	s->fd = socket(s->family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t len = sockaddr_from(&sa, &(struct endpoint){ cfg->bind, cfg->port });
	if (s->fd < 0 || set_options(s->fd, cfg) != 0 ||
	    (shares_port && udp_set_int(s->fd, SOL_SOCKET, SO_REUSEPORT, 1) != 0) || bind(s->fd, &sa.sa, len) != 0) {
		int e = errno;
		relay_sock_close(s);
		errno = e;
		return open_err(e);
	}
	*out = s;
	return 0;
}

int relay_sock_open(struct relay_sock **out, const struct relay_sock_config *cfg)
{
	return open_socket(out, cfg, false);
}

/* The first socket was bound without SO_REUSEPORT, so that a port in use is noticed; it may be shared from now on. */
int relay_sock_open_control(struct relay_sock **out, struct relay_sock *first, const struct relay_sock_config *cfg)
{
	/* 0 = first, 1 = control: the order in which they joined the group */
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, STUN_FIRST_BYTE_END, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { ARRAY_LEN(code), code };
	struct relay_sock *s;

	if (udp_set_int(first->fd, SOL_SOCKET, SO_REUSEPORT, 1) != 0 || open_socket(&s, cfg, true) != 0)
		return ERR_UNSUPPORTED;
	if (setsockopt(s->fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) != 0) {
		relay_sock_close(s);
		return ERR_UNSUPPORTED;
	}
	*out = s;
	return 0;
}

void relay_sock_close(struct relay_sock *s)
{
	if (!s)
		return;
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

int relay_sock_fd(const struct relay_sock *s)
{
	return s->fd;
}

u32 relay_sock_rcvbuf(const struct relay_sock *s)
{
	int value = 0;
	socklen_t n = sizeof(value);

	(void)getsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &value, &n);
	return (u32)value / 2; /* the kernel doubles it */
}

/* ---- receiving ---- */

static void reset_message(struct relay_ring *r, u32 i)
{
	struct msghdr *h = &r->msgs[i].msg_hdr;

	h->msg_namelen = sizeof(r->names[i]);
	h->msg_controllen = RX_CONTROL;
}

struct relay_ring *relay_ring_new(void)
{
	struct relay_ring *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	for (u32 i = 0; i < RELAY_RX_MESSAGES; i++) {
		r->iovs[i] = (struct iovec){ r->bytes[i] + RELAY_RX_HEADROOM, UDP_RX_BUFFER };
		r->msgs[i].msg_hdr = (struct msghdr){
			.msg_name = &r->names[i],
			.msg_iov = &r->iovs[i],
			.msg_iovlen = 1,
			.msg_control = r->control[i],
		};
		reset_message(r, i);
	}
	return r;
}

void relay_ring_free(struct relay_ring *r)
{
	free(r);
}

const struct relay_io_stats *relay_io_stats(const struct relay_ring *r)
{
	return &r->stats;
}

int relay_sock_recv(struct relay_sock *s, struct relay_ring *ring, struct udp_rx out[static RELAY_RX_MESSAGES])
{
	int used = 0;
	int n = recvmmsg(s->fd, ring->msgs, RELAY_RX_MESSAGES, MSG_DONTWAIT, NULL);

	if (n < 0) {
		ring->stats.rx_errors += errno != EAGAIN && errno != EINTR;
		return errno == EAGAIN ? ERR_AGAIN : 0;
	}
	ring->stats.rx_calls++;
	for (u32 i = 0; i < (u32)n; i++) {
		struct msghdr *h = &ring->msgs[i].msg_hdr;
		struct udp_rx *rx = &out[used];
		*rx = (struct udp_rx){ .data = ring->iovs[i].iov_base, .len = ring->msgs[i].msg_len };
		rx->local.port = s->port;
		udp_read_control(h, rx);
		if (h->msg_flags & MSG_TRUNC) {
			ring->stats.rx_truncated++;
		} else if (sockaddr_to(&ring->names[i], &rx->remote)) {
			ring->stats.rx_datagrams += udp_datagrams_in(rx->len, rx->seg);
			ring->stats.rx_bytes += rx->len;
			used++;
		}
		reset_message(ring, i);
	}
	ring->stats.rx_runs += (u32)used;
	return used;
}

/* ---- sending ---- */

/* 0, or an errno. */
static int send_once(struct relay_sock *s, const struct relay_tx *tx, const struct span *pieces, u32 n_pieces, u16 seg)
{
	union sockaddr_any name;
	alignas(struct cmsghdr) u8 control[TX_CONTROL];
	struct msghdr h = { .msg_name = &name, .msg_control = control };

	h.msg_namelen = sockaddr_from(&name, tx->dst);
	h.msg_iov = (struct iovec *)(uintptr_t)pieces;
	h.msg_iovlen = (__typeof__(h.msg_iovlen))n_pieces;
	memset(control, 0, sizeof(control));
	if (tx->src->family == s->family)
		udp_put_source(&h, tx->src);
	if (seg > 0)
		udp_put_control(&h, IPPROTO_UDP, UDP_SEGMENT, &seg, sizeof(seg));
	if (h.msg_controllen == 0)
		h.msg_control = NULL;
	while (sendmsg(s->fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return errno;
	return 0;
}

static void count_tx(struct relay_ring *r, int e, u32 datagrams, u32 bytes)
{
	r->stats.tx_calls++;
	if (e == 0) {
		r->stats.tx_datagrams += datagrams;
		r->stats.tx_bytes += bytes;
	} else if (e == EAGAIN || e == ENOBUFS) {
		r->stats.tx_full += datagrams;
	} else {
		r->stats.tx_errors += datagrams;
	}
}

/* The same run datagram by datagram. */
static void send_singly(struct relay_sock *s, struct relay_ring *ring, const struct relay_tx *tx)
{
	struct span part[2 * RELAY_GSO_MAX];
	u32 i = 0;
	size_t off = 0;

	for (u32 left = tx->len; left > 0;) {
		u32 want = MIN(left, (u32)tx->seg), n = 0;
		for (u32 need = want; need > 0;) {
			size_t take = MIN((size_t)need, tx->pieces[i].n - off);
			part[n++] = SPAN(tx->pieces[i].p + off, take);
			need -= (u32)take;
			off += take;
			if (off == tx->pieces[i].n) {
				i++;
				off = 0;
			}
		}
		count_tx(ring, send_once(s, tx, part, n, 0), 1, want);
		left -= want;
	}
}

void relay_sock_send(struct relay_sock *s, struct relay_ring *ring, const struct relay_tx *tx)
{
	bool is_run = tx->seg > 0 && tx->len > tx->seg;

	if (is_run && s->gso_refusals >= GSO_REFUSALS_MAX) {
		send_singly(s, ring, tx);
		return;
	}
	int e = send_once(s, tx, tx->pieces, tx->n_pieces, is_run ? tx->seg : 0);
	if (is_run && (e == EIO || e == EINVAL || e == ENOPROTOOPT || e == EMSGSIZE)) {
		ring->stats.gso_refused++;
		if (++s->gso_refusals == GSO_REFUSALS_MAX)
			log_debug("this system does not segment UDP here, datagrams go out one by one", kv_u("port", s->port));
		send_singly(s, ring, tx);
		return;
	}
	count_tx(ring, e, is_run ? udp_datagrams_in(tx->len, tx->seg) : 1, tx->len);
}
