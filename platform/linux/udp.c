#define LOG_TARGET "platform::udp"
#include "platform/udp.h"

#include "core/base/err.h"
#include "core/base/log.h"
#include "platform/linux/sockaddr.h"
#include "platform/linux/udp_message.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define RX_RETRIES 4            /* pending errors of earlier sends may come before data */
#define TX_MESSAGES 32u
#define PAYLOAD_MAX4 (65535u - 68u) /* longest IPv4 header and UDP's, spec 20 §1.4 */
#define PAYLOAD_MAX6 (65535u - 48u)

#define RX_CONTROL (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)) * 2)
#define TX_CONTROL (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(u16)))

struct backlog {
	struct udp_tx runs[UDP_BACKLOG_RUNS];
	u8 bytes[UDP_BACKLOG_BYTES];
};

struct udp_sock {
	int fd;
	u8 family;
	u16 port;
	u16 gso_max; /* segments per message; 1 = this kernel or device cannot */
	bool sends_tos;
	bool said_denied;
	struct backlog *backlog; /* NULL: none wanted */
	u32 kept_first, kept_end, kept_bytes;
	struct udp_stats stats;
};

struct udp_ring {
	struct mmsghdr msgs[UDP_RX_MESSAGES];
	struct iovec iovs[UDP_RX_MESSAGES];
	union sockaddr_any names[UDP_RX_MESSAGES];
	alignas(struct cmsghdr) u8 control[UDP_RX_MESSAGES][RX_CONTROL];
	u8 bytes[UDP_RX_MESSAGES][UDP_RX_HEADROOM + UDP_RX_BUFFER];
};

/* ---- opening ---- */

static int set_options(int fd, const struct udp_config *cfg)
{
	int rc = 0;
	if (cfg->bind.family == 4) {
		rc |= udp_set_int(fd, IPPROTO_IP, IP_PKTINFO, 1);
		rc |= udp_set_int(fd, IPPROTO_IP, IP_RECVTOS, 1);
		rc |= udp_set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
	} else {
		rc |= udp_set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
		rc |= udp_set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
		rc |= udp_set_int(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
		rc |= udp_set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
		rc |= udp_set_int(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
	}
	if (rc == 0 && cfg->mark != 0)
		rc = setsockopt(fd, SOL_SOCKET, SO_MARK, &cfg->mark, sizeof(cfg->mark));
	(void)udp_set_int(fd, IPPROTO_UDP, UDP_GRO, 1);
	udp_set_buffers(fd, cfg->sndbuf, cfg->rcvbuf);
	return rc;
}

static int bind_to(int fd, const struct ip *ip, u16 port)
{
	union sockaddr_any sa;
	socklen_t len = sockaddr_from(&sa, &(struct endpoint){ *ip, port });
	return bind(fd, &sa.sa, len);
}

static int bound_port(int fd, u16 *port)
{
	union sockaddr_any sa;
	socklen_t len = sizeof(sa);
	struct endpoint ep;
	if (getsockname(fd, &sa.sa, &len) != 0 || !sockaddr_to(&sa, &ep))
		return -1;
	*port = ep.port;
	return 0;
}

static int backlog_map(struct udp_sock *s)
{
	/* Mapped, so that pages cost nothing until the system first refuses a datagram. */
	void *p = mmap(NULL, sizeof(*s->backlog), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return ERR_NOMEM;
	s->backlog = p;
	return 0;
}

static int open_bound(struct udp_sock *s, const struct udp_config *cfg)
{
	s->fd = socket(s->family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || set_options(s->fd, cfg) != 0)
		return sock_err(errno);
	if (bind_to(s->fd, &cfg->bind, cfg->port) != 0 &&
	    (!cfg->may_fall_back || bind_to(s->fd, &cfg->bind, 0) != 0))
		return sock_err(errno);
	if (bound_port(s->fd, &s->port) != 0)
		return ERR_IO;
	return cfg->no_backlog ? 0 : backlog_map(s);
}

int udp_open(struct udp_sock **out, const struct udp_config *cfg)
{
	if (cfg->bind.family != 4 && cfg->bind.family != 6)
		return ERR_INVAL;
	struct udp_sock *s = calloc(1, sizeof(*s));
	if (!s)
		return ERR_NOMEM;
	s->family = cfg->bind.family;
	s->gso_max = UDP_GSO_MAX;
	s->sends_tos = true;
	int rc = open_bound(s, cfg);
	if (rc < 0) {
		int e = errno;
		udp_close(s);
		errno = e;
		return rc;
	}
	*out = s;
	return 0;
}

void udp_close(struct udp_sock *s)
{
	if (!s)
		return;
	if (s->fd >= 0)
		close(s->fd);
	if (s->backlog)
		munmap(s->backlog, sizeof(*s->backlog));
	free(s);
}

int udp_fd(const struct udp_sock *s)
{
	return s->fd;
}

u16 udp_port(const struct udp_sock *s)
{
	return s->port;
}

const struct udp_stats *udp_stats(const struct udp_sock *s)
{
	return &s->stats;
}

/* ---- receiving ---- */

struct udp_ring *udp_ring_new(void)
{
	struct udp_ring *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	for (u32 i = 0; i < UDP_RX_MESSAGES; i++) {
		r->iovs[i] = (struct iovec){ r->bytes[i] + UDP_RX_HEADROOM, UDP_RX_BUFFER };
		r->msgs[i].msg_hdr.msg_iov = &r->iovs[i];
		r->msgs[i].msg_hdr.msg_iovlen = 1;
	}
	return r;
}

void udp_ring_free(struct udp_ring *r)
{
	free(r);
}

static int recv_messages(struct udp_sock *s, struct udp_ring *r, u32 max)
{
	for (u32 i = 0; i < max; i++) {
		struct msghdr *h = &r->msgs[i].msg_hdr;
		h->msg_name = &r->names[i];
		h->msg_namelen = sizeof(r->names[i]);
		h->msg_control = r->control[i];
		h->msg_controllen = RX_CONTROL;
	}
	for (int tries = 0; tries < RX_RETRIES; tries++) {
		int n = recvmmsg(s->fd, r->msgs, max, MSG_DONTWAIT, NULL);
		if (n >= 0 || errno == EAGAIN)
			return n;
		if (errno != EINTR)
			s->stats.rx_errors++;
	}
	return -1;
}

int udp_recv(struct udp_sock *s, struct udp_ring *ring, struct udp_rx *out, size_t max)
{
	int n = recv_messages(s, ring, (u32)MIN(max, (size_t)UDP_RX_MESSAGES));
	if (n <= 0)
		return ERR_AGAIN;
	s->stats.rx_calls++;
	int used = 0;
	for (int i = 0; i < n; i++) {
		struct msghdr *h = &ring->msgs[i].msg_hdr;
		struct udp_rx *rx = &out[used];
		*rx = (struct udp_rx){ .data = ring->iovs[i].iov_base, .len = ring->msgs[i].msg_len };
		rx->local.port = s->port;
		udp_read_control(h, rx);
		if (h->msg_flags & MSG_TRUNC) {
			s->stats.rx_truncated++;
		} else if (rx->local.ip.family == 0 || !sockaddr_to(&ring->names[i], &rx->remote)) {
			s->stats.rx_no_local++;
		} else {
			s->stats.rx_runs++;
			s->stats.rx_datagrams += udp_datagrams_in(rx->len, rx->seg);
			s->stats.rx_bytes += rx->len;
			used++;
		}
	}
	return used;
}

/* ---- sending ---- */

/* Where in the list of runs we are, and how the message at that place is to be sent: once a message with extras was refused, its
 * datagrams go without, which shows whether the extras or the datagram were at fault. */
struct tx_pos {
	struct udp_tx *tx;
	size_t n, i;
	u32 off;
	u32 single_end;  /* up to this offset of run i without UDP_SEGMENT */
	bool without_tos;
};

struct tx_batch {
	struct mmsghdr msgs[TX_MESSAGES];
	struct iovec iovs[TX_MESSAGES];
	union sockaddr_any names[TX_MESSAGES];
	bool has_gso[TX_MESSAGES], has_tos[TX_MESSAGES];
	alignas(struct cmsghdr) u8 control[TX_MESSAGES][TX_CONTROL];
};

static u32 segment_of(const struct udp_tx *tx)
{
	return tx->seg == 0 || tx->seg >= tx->len ? tx->len : tx->seg;
}

static u32 chunk_len(const struct udp_sock *s, const struct udp_tx *tx, u32 off, bool single)
{
	u32 seg = segment_of(tx), left = tx->len - off;
	u32 room = s->family == 4 ? PAYLOAD_MAX4 : PAYLOAD_MAX6;
	u32 segs = single ? 1 : MIN((u32)s->gso_max, room / seg);
	u32 len = segs > 1 ? seg * segs : seg;
	return MIN(left, len);
}

static void build_message(const struct udp_sock *s, struct tx_batch *b, u32 k, const struct udp_tx *tx, u32 off, u32 len,
			  bool without_tos)
{
	struct msghdr *h = &b->msgs[k].msg_hdr;
	b->iovs[k] = (struct iovec){ tx->data + off, len };
	*h = (struct msghdr){ .msg_name = &b->names[k], .msg_iov = &b->iovs[k], .msg_iovlen = 1, .msg_control = b->control[k] };
	h->msg_namelen = sockaddr_from(&b->names[k], &tx->dst);
	memset(b->control[k], 0, TX_CONTROL);

	if (tx->src.family == s->family)
		udp_put_source(h, &tx->src);
	b->has_tos[k] = tx->ecn != 0 && s->sends_tos && !without_tos;
	if (b->has_tos[k]) {
		int tos = tx->ecn;
		if (s->family == 4)
			udp_put_control(h, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
		else
			udp_put_control(h, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
	}
	b->has_gso[k] = len > segment_of(tx);
	if (b->has_gso[k]) {
		u16 seg = tx->seg;
		udp_put_control(h, IPPROTO_UDP, UDP_SEGMENT, &seg, sizeof(seg));
	}
	if (h->msg_controllen == 0)
		h->msg_control = NULL;
}

/* Runs that no socket could send are passed over. */
static bool is_sendable(const struct udp_sock *s, const struct udp_tx *tx)
{
	return tx->len > 0 && tx->dst.ip.family == s->family && tx->dst.port != 0;
}

static u32 build_batch(struct udp_sock *s, struct tx_batch *b, const struct tx_pos *from)
{
	u32 k = 0;
	u32 off = from->off;
	for (size_t i = from->i; i < from->n && k < TX_MESSAGES; i++, off = 0) {
		const struct udp_tx *tx = &from->tx[i];
		if (!is_sendable(s, tx))
			break; /* the caller passes over it when it gets there */
		bool is_first = i == from->i;
		while (off < tx->len && k < TX_MESSAGES) {
			bool single = is_first && off < from->single_end;
			u32 len = chunk_len(s, tx, off, single);
			build_message(s, b, k++, tx, off, len, is_first && from->without_tos);
			off += len;
		}
	}
	return k;
}

static void advance(struct tx_pos *p, u32 len)
{
	p->off += len;
	p->without_tos = false;
	if (p->off >= p->tx[p->i].len) {
		p->i++;
		p->off = 0;
		p->single_end = 0;
	}
}

static void account_sent(struct udp_sock *s, struct tx_pos *p, u32 len)
{
	s->stats.tx_messages++;
	s->stats.tx_datagrams += udp_datagrams_in(len, segment_of(&p->tx[p->i]));
	s->stats.tx_bytes += len;
	/* Went through without the extra that was refused before: so that was at fault. */
	if (p->off < p->single_end && s->gso_max > 1) {
		s->gso_max = 1;
		s->stats.gso_disabled = 1;
		log_info("this system does not segment UDP, datagrams go out one by one", kv_u("port", s->port));
	}
	if (p->without_tos && s->sends_tos) {
		s->sends_tos = false;
		s->stats.tos_disabled = 1;
		log_info("this system does not mark ECN on UDP", kv_u("port", s->port));
	}
	advance(p, len);
}

/* The message at `p` was refused with errno `e`: sets up the next try, or gives the message up. */
static void handle_refusal(struct udp_sock *s, struct tx_pos *p, const struct tx_batch *b, int e)
{
	u32 len = (u32)b->iovs[0].iov_len;
	if ((e == EINVAL || e == EIO) && b->has_gso[0]) {
		p->single_end = p->off + len;
		return;
	}
	if (e == EINVAL && b->has_tos[0]) {
		p->without_tos = true;
		return;
	}
	const struct udp_tx *tx = &p->tx[p->i];
	s->stats.tx_errors += udp_datagrams_in(len, segment_of(tx));
	if ((e == EPERM || e == EACCES) && !s->said_denied) {
		s->said_denied = true;
		log_info("sending is not permitted: is there a firewall rule against it?", kv_ep("to", &tx->dst));
	}
	log_debug("datagram not sent", kv_ep("to", &tx->dst), kv_u("bytes", len), kv_u("errno", e));
	advance(p, len);
}

/* musl's sendmmsg() is a loop over sendmsg(); its msghdr is the kernel's where the padding is zero, as it is here. */
static int send_messages(int fd, struct tx_batch *b, u32 count)
{
	return (int)syscall(SYS_sendmmsg, fd, b->msgs, count, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Sends from `p` on. True when all is done, false when the system takes no more now. */
static bool send_from(struct udp_sock *s, struct tx_pos *p)
{
	struct tx_batch b;
	while (p->i < p->n) {
		if (!is_sendable(s, &p->tx[p->i])) {
			s->stats.tx_errors++;
			p->i++;
			p->off = 0;
			continue;
		}
		u32 count = build_batch(s, &b, p);
		s->stats.tx_calls++;
		int sent = send_messages(s->fd, &b, count);
		for (int k = 0; k < sent; k++)
			account_sent(s, p, (u32)b.iovs[k].iov_len);
		if (sent > 0 || (sent < 0 && errno == EINTR))
			continue;
		if (sent < 0 && errno == EAGAIN)
			return false;
		handle_refusal(s, p, &b, errno);
	}
	return true;
}

/* ---- the backlog ---- */

static void keep_run(struct udp_sock *s, const struct udp_tx *tx, u32 off)
{
	u32 len = tx->len - off;
	if (!s->backlog || s->kept_end == UDP_BACKLOG_RUNS || len > UDP_BACKLOG_BYTES - s->kept_bytes) {
		s->stats.tx_backlog_full++;
		return;
	}
	struct udp_tx *kept = &s->backlog->runs[s->kept_end++];
	*kept = *tx;
	kept->data = s->backlog->bytes + s->kept_bytes;
	kept->len = len;
	memcpy(kept->data, tx->data + off, len);
	s->kept_bytes += len;
	s->stats.tx_backlogged++;
}

bool udp_is_blocked(const struct udp_sock *s)
{
	return s->kept_first != s->kept_end;
}

int udp_flush(struct udp_sock *s)
{
	if (!udp_is_blocked(s))
		return 0;
	struct tx_pos p = { .tx = s->backlog->runs, .n = s->kept_end, .i = s->kept_first };
	bool is_done = send_from(s, &p);
	s->kept_first = (u32)p.i;
	if (!is_done) {
		struct udp_tx *head = &s->backlog->runs[p.i];
		head->data += p.off;
		head->len -= p.off;
		return ERR_AGAIN;
	}
	s->kept_first = s->kept_end = s->kept_bytes = 0;
	(void)madvise(s->backlog, sizeof(*s->backlog), MADV_DONTNEED);
	return 0;
}

int udp_send(struct udp_sock *s, const struct udp_tx *tx, size_t n)
{
	/* The position only reads the runs; it is not const because the backlog shares it. */
	struct tx_pos p = { .tx = (struct udp_tx *)(uintptr_t)tx, .n = n };
	if (udp_flush(s) == 0 && send_from(s, &p))
		return 0;
	for (; p.i < p.n; p.i++, p.off = 0)
		if (is_sendable(s, &tx[p.i]))
			keep_run(s, &tx[p.i], p.off);
	return udp_is_blocked(s) ? ERR_AGAIN : 0;
}

/* ---- the pair ---- */

static u32 bytes_from_env(const char *name, u32 otherwise)
{
	const char *text = getenv(name);
	if (!text || !*text)
		return otherwise;
	char *end;
	unsigned long long v = strtoull(text, &end, 10);
	if (*end != 0 || v == 0 || v > INT32_MAX) {
		log_warn("not a number of bytes, using the default", kv_s("variable", name), kv_s("value", text));
		return otherwise;
	}
	return (u32)v;
}

int udp_pair_open(struct udp_pair *p, u16 port, u32 mark)
{
	struct udp_config cfg = {
		.port = port,
		.may_fall_back = true,
		.mark = mark,
		.sndbuf = bytes_from_env("FIREZONE_UDP_SEND_BUFFER_SIZE", UDP_SNDBUF),
		.rcvbuf = bytes_from_env("FIREZONE_UDP_RECV_BUFFER_SIZE", UDP_RCVBUF),
	};
	*p = (struct udp_pair){ 0 };
	cfg.bind.family = 4;
	int rc4 = udp_open(&p->v4, &cfg);
	cfg.bind.family = 6;
	int rc6 = udp_open(&p->v6, &cfg);
	if (rc4 < 0)
		log_info("no IPv4 UDP socket", kv_err(rc4));
	if (rc6 < 0)
		log_info("no IPv6 UDP socket", kv_err(rc6));
	return rc4 < 0 && rc6 < 0 ? rc4 : 0;
}

void udp_pair_close(struct udp_pair *p)
{
	udp_close(p->v4);
	udp_close(p->v6);
	*p = (struct udp_pair){ 0 };
}

int udp_pair_send(struct udp_pair *p, const struct udp_tx *tx, size_t n)
{
	int rc = 0;
	for (size_t i = 0; i < n;) {
		size_t j = i + 1;
		while (j < n && tx[j].dst.ip.family == tx[i].dst.ip.family)
			j++;
		struct udp_sock *s = tx[i].dst.ip.family == 6 ? p->v6 : p->v4;
		if (s && udp_send(s, tx + i, j - i) == ERR_AGAIN)
			rc = ERR_AGAIN;
		i = j;
	}
	return rc;
}

int udp_pair_flush(struct udp_pair *p)
{
	int rc4 = p->v4 ? udp_flush(p->v4) : 0;
	int rc6 = p->v6 ? udp_flush(p->v6) : 0;
	return rc4 < 0 ? rc4 : rc6;
}
