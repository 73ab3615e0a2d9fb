#include "platform/linux/netlink.h"

#include "core/base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

#define RCVBUF (1 << 20)

int nl_open(struct nl_sock *nl, int protocol)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK };
	socklen_t len = sizeof(sa);
	int one = 1, size = RCVBUF;
	struct timeval patience = { 5, 0 }; /* the kernel answers at once; never hang if it does not */
	*nl = (struct nl_sock){ .fd = -1 };
	nl->buf = malloc(NL_RECV_MAX);
	if (!nl->buf)
		return ERR_NOMEM;
	nl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	if (nl->fd < 0 || bind(nl->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
	    getsockname(nl->fd, (struct sockaddr *)&sa, &len) != 0) {
		int rc = errno == EPROTONOSUPPORT ? ERR_UNSUPPORTED : ERR_IO;
		nl_close(nl);
		return rc;
	}
	nl->port = sa.nl_pid;
	(void)setsockopt(nl->fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	(void)setsockopt(nl->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	(void)setsockopt(nl->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return 0;
}

void nl_close(struct nl_sock *nl)
{
	if (nl->fd >= 0)
		close(nl->fd);
	free(nl->buf);
	*nl = (struct nl_sock){ .fd = -1 };
}

/* ---- building ---- */

static u8 *reserve(struct nl_msg *m, u32 n)
{
	u32 padded = NLMSG_ALIGN(n);
	if (m->failed || padded > NL_MSG_MAX - m->len) {
		m->failed = true;
		return NULL;
	}
	u8 *p = m->bytes + m->len;
	memset(p, 0, padded);
	m->len += padded;
	return p;
}

static struct nlmsghdr *header_of(struct nl_msg *m)
{
	return (struct nlmsghdr *)(void *)(m->bytes + m->start);
}

static void finish(struct nl_msg *m)
{
	if (!m->failed)
		header_of(m)->nlmsg_len = m->len - m->start;
}

static void start(struct nl_msg *m, u16 type, u16 flags)
{
	m->start = m->len;
	if (!reserve(m, sizeof(struct nlmsghdr)))
		return;
	header_of(m)->nlmsg_type = type;
	header_of(m)->nlmsg_flags = flags | NLM_F_REQUEST;
}

void nl_begin(struct nl_msg *m, u16 type, u16 flags)
{
	m->len = 0;
	m->failed = false;
	start(m, type, flags);
}

void nl_next(struct nl_msg *m, u16 type, u16 flags)
{
	finish(m);
	start(m, type, flags);
}

void *nl_header(struct nl_msg *m, u32 n)
{
	u8 *p = reserve(m, n);
	return p ? p : m->bytes; /* a failed message is never sent */
}

static u32 put_attr_header(struct nl_msg *m, u16 type, u32 payload)
{
	u32 at = m->len;
	struct nlattr *a = (void *)reserve(m, NLA_HDRLEN);
	if (a) {
		a->nla_type = type;
		a->nla_len = (u16)(NLA_HDRLEN + payload);
	}
	return at;
}

void nl_put(struct nl_msg *m, u16 type, const void *data, u32 n)
{
	put_attr_header(m, type, n);
	u8 *p = reserve(m, n);
	if (p && n > 0)
		memcpy(p, data, n);
}

void nl_put_str(struct nl_msg *m, u16 type, const char *s)
{
	nl_put(m, type, s, (u32)strlen(s) + 1);
}

void nl_put_u32(struct nl_msg *m, u16 type, u32 v)
{
	nl_put(m, type, &v, sizeof(v));
}

void nl_put_be32(struct nl_msg *m, u16 type, u32 v)
{
	u8 b[4] = { (u8)(v >> 24), (u8)(v >> 16), (u8)(v >> 8), (u8)v };
	nl_put(m, type, b, sizeof(b));
}

u32 nl_nest(struct nl_msg *m, u16 type)
{
	return put_attr_header(m, type | NLA_F_NESTED, 0);
}

void nl_unnest(struct nl_msg *m, u32 at)
{
	if (!m->failed)
		((struct nlattr *)(void *)(m->bytes + at))->nla_len = (u16)(m->len - at);
}

/* ---- walking ---- */

struct nl_walk nl_attrs(const struct nlmsghdr *h, u32 header)
{
	const u8 *base = (const u8 *)h;
	u32 skip = NLMSG_HDRLEN + NLMSG_ALIGN(header);
	if (h->nlmsg_len < skip)
		skip = h->nlmsg_len;
	return (struct nl_walk){ base + skip, base + h->nlmsg_len };
}

struct nl_walk nl_nested(const struct nl_attr *a)
{
	return (struct nl_walk){ a->data, a->data + a->len };
}

bool nl_attr_next(struct nl_walk *w, struct nl_attr *out)
{
	struct nlattr a;
	size_t left = (size_t)(w->end - w->p);
	if (left < NLA_HDRLEN)
		return false;
	memcpy(&a, w->p, sizeof(a));
	if (a.nla_len < NLA_HDRLEN || a.nla_len > left)
		return false;
	*out = (struct nl_attr){ a.nla_type & NLA_TYPE_MASK, w->p + NLA_HDRLEN, (u32)a.nla_len - NLA_HDRLEN };
	size_t step = NLA_ALIGN(a.nla_len);
	w->p += MIN(step, left);
	return true;
}

u32 nl_attr_u32(const struct nl_attr *a)
{
	u32 v = 0;
	if (a->len >= sizeof(v))
		memcpy(&v, a->data, sizeof(v));
	return v;
}

/* ---- in step with the kernel ---- */

static int send_all(struct nl_sock *nl, struct nl_msg *m)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	finish(m);
	if (m->failed)
		return -EMSGSIZE;
	for (u32 at = 0; at + sizeof(struct nlmsghdr) <= m->len;) {
		struct nlmsghdr *h = (void *)(m->bytes + at);
		h->nlmsg_seq = ++nl->seq;
		h->nlmsg_pid = nl->port;
		at += NLMSG_ALIGN(h->nlmsg_len);
	}
	ssize_t n;
	do
		n = sendto(nl->fd, m->bytes, m->len, 0, (struct sockaddr *)&kernel, sizeof(kernel));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static ssize_t recv_some(struct nl_sock *nl)
{
	struct sockaddr_nl from;
	for (;;) {
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(nl->fd, nl->buf, NL_RECV_MAX, 0, (struct sockaddr *)&from, &len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n >= 0 && from.nl_pid != 0)
			continue; /* not from the kernel */
		return n < 0 ? -errno : n;
	}
}

static int ack_error(const struct nlmsghdr *h)
{
	struct nlmsgerr e;
	if (h->nlmsg_len < NLMSG_HDRLEN + sizeof(e.error))
		return -EBADMSG;
	memcpy(&e.error, (const u8 *)h + NLMSG_HDRLEN, sizeof(e.error));
	return e.error;
}

int nl_transact(struct nl_sock *nl, struct nl_msg *m, u32 acks)
{
	u32 first = nl->seq + 1;
	int result = send_all(nl, m);
	if (result < 0)
		return result;
	while (acks > 0) {
		ssize_t n = recv_some(nl);
		if (n < 0)
			return (int)n;
		int left = (int)n;
		for (struct nlmsghdr *h = (void *)nl->buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_seq - first > nl->seq - first)
				continue;
			int e = ack_error(h);
			if (e != 0 && result == 0)
				result = e;
			if (e != 0 && h->nlmsg_seq == first)
				return result; /* a refused batch is refused at its head, in one answer */
			acks -= acks > 0;
		}
	}
	return result;
}

int nl_err(int rc)
{
	switch (-rc) {
	case 0:
		return 0;
	case EPERM:
	case EACCES:
		return ERR_DENIED;
	case EEXIST:
	case EBUSY:
		return ERR_EXISTS;
	case ENOENT:
	case ESRCH:
	case ENODEV:
	case EADDRNOTAVAIL:
		return ERR_NOT_FOUND;
	case EOPNOTSUPP:
	case EAFNOSUPPORT:
	case EPROTONOSUPPORT:
		return ERR_UNSUPPORTED;
	case ENOMEM:
	case ENOBUFS:
		return ERR_NOMEM;
	case EMSGSIZE:
		return ERR_LIMIT;
	case EAGAIN:
		return ERR_TIMEOUT;
	case ENETUNREACH:
	case EHOSTUNREACH:
		return ERR_NO_ROUTE;
	default:
		return ERR_IO;
	}
}

int nl_request(struct nl_sock *nl, struct nl_msg *m)
{
	((struct nlmsghdr *)(void *)m->bytes)->nlmsg_flags |= NLM_F_ACK;
	return nl_transact(nl, m, 1);
}

/* Reads answers to the last request until its end: NLMSG_DONE of a dump, the acknowledgement otherwise. */
static int read_answers(struct nl_sock *nl, void (*each)(void *ctx, const struct nlmsghdr *h), void *ctx)
{
	int result = 0;
	for (;;) {
		ssize_t n = recv_some(nl);
		if (n < 0)
			return (int)n;
		int left = (int)n;
		for (struct nlmsghdr *h = (void *)nl->buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_seq != nl->seq)
				continue;
			if (h->nlmsg_flags & NLM_F_DUMP_INTR)
				result = -EAGAIN;
			if (h->nlmsg_type == NLMSG_DONE)
				return result;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ack_error(h);
			each(ctx, h);
		}
	}
}

static int ask(struct nl_sock *nl, struct nl_msg *m, u16 flags, void (*each)(void *ctx, const struct nlmsghdr *h), void *ctx)
{
	((struct nlmsghdr *)(void *)m->bytes)->nlmsg_flags |= flags;
	int rc = send_all(nl, m);
	return rc < 0 ? rc : read_answers(nl, each, ctx);
}

int nl_get(struct nl_sock *nl, struct nl_msg *m, void (*each)(void *ctx, const struct nlmsghdr *h), void *ctx)
{
	return ask(nl, m, NLM_F_ACK, each, ctx);
}

int nl_dump(struct nl_sock *nl, struct nl_msg *m, void (*each)(void *ctx, const struct nlmsghdr *h), void *ctx)
{
	return ask(nl, m, NLM_F_DUMP, each, ctx);
}
