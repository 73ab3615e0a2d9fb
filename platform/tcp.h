/* platform/tcp.h: non-blocking TCP: connecting (one address, or a race of several), listening, accepting.
 *
 * Descriptors returned here are non-blocking, close-on-exec, carry TCP_NODELAY and, where asked for, the fwmark that keeps them out of
 * the tunnel (spec 20 §1.3). They belong to the caller, who reads and writes them with tcp_read() and tcp_write().
 */
#pragma once

#include "core/ip/addr.h"

#define TCP_RACE_MAX 16u     /* addresses tried at a time; further ones are not tried */
#define TCP_BACKLOG 512

/* Starts to connect. >= 0: a descriptor; wait until it is writable, then call tcp_connect_finish(). mark 0 = none.
 * ERR_UNSUPPORTED: this system lacks the family. ERR_DENIED: no permission (mark needs CAP_NET_ADMIN, or a firewall forbids it).
 * ERR_NO_ROUTE, ERR_CLOSED (refused at once), ERR_IO: errno says more. */
int tcp_connect_start(const struct endpoint *dst, u32 mark) MUST_CHECK;
/* 0: connected. ERR_AGAIN: not yet. Else the reason as above or ERR_TIMEOUT; the caller closes the descriptor. */
int tcp_connect_finish(int fd) MUST_CHECK;

/* Connects to all addresses at once; the first that answers wins and the others are dropped (spec 10 §1.6).
 *
 *	tcp_race_start(&race, addresses, n, mark);
 *	watch tcp_race_fd(&race) for LOOP_READ, with a timer of your own; on each event
 *	fd = tcp_race_poll(&race, &winner);      ERR_AGAIN: go on waiting
 *	remove the watch, then tcp_race_end(&race);
 *
 * After tcp_race_start() poll once before waiting: all may have failed, or loopback may be connected, already. */
struct tcp_race {
	int epoll_fd;
	int last_error; /* the reason the last address failed */
	u32 n;
	struct {
		int fd; /* -1: failed */
		struct endpoint dst;
	} tries[TCP_RACE_MAX];
};

/* ERR_INVAL: no address. ERR_IO: no descriptor left. Failures of single addresses show in tcp_race_poll(). */
int tcp_race_start(struct tcp_race *r, const struct endpoint *dsts, size_t n, u32 mark) MUST_CHECK;
int tcp_race_fd(const struct tcp_race *r);
/* >= 0: the connected descriptor, now the caller's. ERR_AGAIN: still racing. Else all failed: the last reason. */
int tcp_race_poll(struct tcp_race *r, struct endpoint *winner) MUST_CHECK;
/* Closes what is left; idempotent. Must be called exactly when tcp_race_start() succeeded. */
void tcp_race_end(struct tcp_race *r);

/* >= 0: a listening descriptor; an IPv6 wildcard is IPv6 only, so both families may listen on one port. ERR_EXISTS: address in
 * use. ERR_DENIED: privileged port. ERR_UNSUPPORTED, ERR_IO. */
int tcp_listen(const struct endpoint *local) MUST_CHECK;
/* >= 0: a connection and who it is from. ERR_AGAIN: none is waiting. ERR_LIMIT: out of descriptors: stop listening for a while
 * (the descriptor stays readable). Connections that died while waiting are skipped. */
int tcp_accept(int listener, struct endpoint *peer) MUST_CHECK;
int tcp_local(int fd, struct endpoint *out); /* getsockname; useful after listening on port 0 */

/* Bytes moved (> 0). ERR_AGAIN, ERR_CLOSED (end of stream, reset), ERR_IO. Never raises SIGPIPE. */
int tcp_read(int fd, void *buf, size_t n);
int tcp_write(int fd, const void *buf, size_t n);
