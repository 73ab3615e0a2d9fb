#include "platform/tcp.h"

#include "core/base/err.h"
#include "platform/linux/sockaddr.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

static int stream_socket(u8 family)
{
	int fd = socket(family == 4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return fd < 0 ? sock_err(errno) : fd;
}

static int close_with(int fd, int rc)
{
	int e = errno;
	close(fd);
	errno = e;
	return rc;
}

int tcp_connect_start(const struct endpoint *dst, u32 mark)
{
	union sockaddr_any sa;
	socklen_t len = sockaddr_from(&sa, dst);
	if (len == 0)
		return ERR_INVAL;
	int fd = stream_socket(dst->ip.family);
	if (fd < 0)
		return fd;
	(void)set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (mark != 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) != 0)
		return close_with(fd, sock_err(errno));
	if (connect(fd, &sa.sa, len) != 0 && errno != EINPROGRESS && errno != EINTR)
		return close_with(fd, sock_err(errno));
	return fd;
}

int tcp_connect_finish(int fd)
{
	int e = 0;
	socklen_t len = sizeof(e);
	union sockaddr_any peer;
	socklen_t peer_len = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0)
		return sock_err(errno);
	if (e != 0) {
		errno = e;
		return sock_err(e);
	}
	/* No error so far: either connected, or still on the way. */
	if (getpeername(fd, &peer.sa, &peer_len) == 0)
		return 0;
	return errno == ENOTCONN ? ERR_AGAIN : sock_err(errno);
}

/* ---- racing ---- */

static void try_failed(struct tcp_race *r, u32 i, int reason)
{
	if (r->tries[i].fd >= 0)
		close(r->tries[i].fd); /* leaves the epoll set by itself */
	r->tries[i].fd = -1;
	r->last_error = reason;
}

int tcp_race_start(struct tcp_race *r, const struct endpoint *dsts, size_t n, u32 mark)
{
	*r = (struct tcp_race){ .epoll_fd = -1, .last_error = ERR_NO_ROUTE };
	if (n == 0)
		return ERR_INVAL;
	r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (r->epoll_fd < 0)
		return ERR_IO;
	r->n = (u32)MIN(n, (size_t)TCP_RACE_MAX);
	for (u32 i = 0; i < r->n; i++) {
		r->tries[i].dst = dsts[i];
		r->tries[i].fd = -1;
		int fd = tcp_connect_start(&dsts[i], mark);
		if (fd < 0) {
			try_failed(r, i, fd);
			continue;
		}
		r->tries[i].fd = fd;
		struct epoll_event ev = { .events = EPOLLOUT, .data = { .u32 = i } };
		if (epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0)
			try_failed(r, i, ERR_IO);
	}
	return 0;
}

int tcp_race_fd(const struct tcp_race *r)
{
	return r->epoll_fd;
}

int tcp_race_poll(struct tcp_race *r, struct endpoint *winner)
{
	struct epoll_event evs[TCP_RACE_MAX];
	int n = epoll_wait(r->epoll_fd, evs, (int)TCP_RACE_MAX, 0);
	for (int k = 0; k < n; k++) {
		u32 i = evs[k].data.u32;
		int fd = r->tries[i].fd;
		if (fd < 0)
			continue;
		int rc = tcp_connect_finish(fd);
		if (rc == 0) {
			(void)epoll_ctl(r->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
			r->tries[i].fd = -1;
			*winner = r->tries[i].dst;
			return fd;
		}
		if (rc != ERR_AGAIN)
			try_failed(r, i, rc);
	}
	for (u32 i = 0; i < r->n; i++)
		if (r->tries[i].fd >= 0)
			return ERR_AGAIN;
	return r->last_error;
}

void tcp_race_end(struct tcp_race *r)
{
	for (u32 i = 0; i < r->n; i++)
		if (r->tries[i].fd >= 0)
			close(r->tries[i].fd);
	if (r->epoll_fd >= 0)
		close(r->epoll_fd);
	r->n = 0;
	r->epoll_fd = -1;
}

/* ---- listening ---- */

int tcp_listen(const struct endpoint *local)
{
	union sockaddr_any sa;
	socklen_t len = sockaddr_from(&sa, local);
	if (len == 0)
		return ERR_INVAL;
	int fd = stream_socket(local->ip.family);
	if (fd < 0)
		return fd;
	(void)set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (local->ip.family == 6)
		(void)set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (bind(fd, &sa.sa, len) != 0 || listen(fd, TCP_BACKLOG) != 0)
		return close_with(fd, sock_err(errno));
	return fd;
}

int tcp_accept(int listener, struct endpoint *peer)
{
	for (;;) {
		union sockaddr_any sa;
		socklen_t len = sizeof(sa);
		int fd = accept4(listener, &sa.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			(void)set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
			*peer = (struct endpoint){ 0 };
			(void)sockaddr_to(&sa, peer);
			return fd;
		}
		switch (errno) {
		case EINTR:
		case ECONNABORTED:
		case EPROTO:
		case ENETDOWN:
		case ENETUNREACH:
		case EHOSTUNREACH:
			continue; /* that connection's own fate (accept(2)) */
		case ENOMEM:
		case ENOBUFS:
			return ERR_LIMIT;
		default:
			return sock_err(errno);
		}
	}
}

int tcp_local(int fd, struct endpoint *out)
{
	union sockaddr_any sa;
	socklen_t len = sizeof(sa);
	if (getsockname(fd, &sa.sa, &len) != 0)
		return ERR_IO;
	return sockaddr_to(&sa, out) ? 0 : ERR_UNSUPPORTED;
}

int tcp_read(int fd, void *buf, size_t n)
{
	if (n == 0 || n > INT32_MAX)
		return ERR_INVAL;
	ssize_t got;
	do
		got = recv(fd, buf, n, 0);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return ERR_CLOSED;
	return got > 0 ? (int)got : sock_err(errno);
}

int tcp_write(int fd, const void *buf, size_t n)
{
	if (n == 0 || n > INT32_MAX)
		return ERR_INVAL;
	ssize_t done;
	do
		done = send(fd, buf, n, MSG_NOSIGNAL);
	while (done < 0 && errno == EINTR);
	return done > 0 ? (int)done : done == 0 ? ERR_AGAIN : sock_err(errno);
}
