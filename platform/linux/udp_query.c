#include "platform/udp_query.h"

#include "core/base/err.h"
#include "platform/linux/sockaddr.h"

#include <errno.h>
#include <unistd.h>

int udp_query_open(const struct endpoint *dst, u32 mark)
{
	union sockaddr_any sa;
	socklen_t len = sockaddr_from(&sa, dst);
	if (len == 0)
		return ERR_INVAL;
	int fd = socket(sa.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return sock_err(errno);
	if ((mark != 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) != 0) || connect(fd, &sa.sa, len) != 0) {
		int e = errno;
		close(fd);
		errno = e;
		return sock_err(e);
	}
	return fd;
}

int udp_query_send(int fd, const struct span *datagrams, size_t n)
{
	struct iovec iov[UDP_QUERY_BATCH];
	struct mmsghdr m[UDP_QUERY_BATCH];

	n = MIN(n, (size_t)UDP_QUERY_BATCH);
	for (size_t i = 0; i < n; i++) {
		iov[i] = (struct iovec){ (void *)(uintptr_t)datagrams[i].p, datagrams[i].n };
		m[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[i], .msg_iovlen = 1 } };
	}
	int sent;
	do
		sent = sendmmsg(fd, m, (unsigned)n, 0);
	while (sent < 0 && errno == EINTR);
	return sent > 0 ? sent : errno == EMSGSIZE ? ERR_LIMIT : sock_err(errno);
}

int udp_query_recv(int fd, struct udp_query_ring *ring, struct udp_query_in out[static UDP_QUERY_BATCH])
{
	struct iovec iov[UDP_QUERY_BATCH];
	struct mmsghdr m[UDP_QUERY_BATCH];

	for (size_t i = 0; i < UDP_QUERY_BATCH; i++) {
		iov[i] = (struct iovec){ ring->slots[i].bytes, UDP_QUERY_BYTES };
		m[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[i], .msg_iovlen = 1 } };
	}
	int got;
	do
		got = recvmmsg(fd, m, UDP_QUERY_BATCH, MSG_DONTWAIT, NULL);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return sock_err(errno);
	for (int i = 0; i < got; i++) {
		out[i].data = (struct mspan){ ring->slots[i].bytes, m[i].msg_len };
		out[i].is_cut = (m[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
	}
	return got;
}
