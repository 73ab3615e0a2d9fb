/* tests/interop/turn_drive.h: our TURN client (core/turn/allocation.h) on a real socket, step by step. For tests and benches: it blocks. */
#pragma once

#include "core/base/err.h"
#include "core/stun/channel.h"
#include "core/turn/allocation.h"
#include "platform/linux/sockaddr.h"
#include "platform/sys.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct turn_drive {
	int fd;
	struct endpoint local;
	struct allocation *a;
	enum allocation_freed reason;
	bool is_freed;
};

static inline struct endpoint drive_endpoint(const char *text)
{
	struct endpoint e = { 0 };

	if (endpoint_parse(SPAN(text, strlen(text)), &e) != 0) {
		fprintf(stderr, "\"%s\" is not ADDR:PORT\n", text);
		exit(2);
	}
	return e;
}

/* A UDP socket bound to `ip`, its address in *local. */
static inline int drive_socket(const struct ip *ip, struct endpoint *local)
{
	union sockaddr_any sa;
	socklen_t len = sockaddr_from(&sa, &(struct endpoint){ *ip, 0 });
	int fd = socket(ip->family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, &sa.sa, len) != 0 || getsockname(fd, &sa.sa, &len) != 0 || !sockaddr_to(&sa, local)) {
		perror("socket");
		exit(1);
	}
	return fd;
}

static inline void drive_send(int fd, const struct endpoint *to, struct span d)
{
	union sockaddr_any sa;
	socklen_t len = sockaddr_from(&sa, to);

	if (sendto(fd, d.p, d.n, 0, &sa.sa, len) < 0)
		perror("sendto");
}

/* The next datagram within `ms`; -1 when none comes. */
static inline ssize_t drive_recv(int fd, u8 *buf, size_t cap, struct endpoint *from, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	union sockaddr_any sa;
	socklen_t len = sizeof(sa);

	if (poll(&p, 1, ms) <= 0)
		return -1;
	ssize_t n = recvfrom(fd, buf, cap, 0, &sa.sa, &len);
	if (n >= 0 && !sockaddr_to(&sa, from))
		return -1;
	return n;
}

static inline void drive_flush(struct turn_drive *t)
{
	struct allocation_transmit tx;
	struct allocation_event e;

	while (allocation_poll_transmit(t->a, sys_now(), &tx))
		drive_send(t->fd, &tx.dst, tx.data);
	while (allocation_poll_event(t->a, &e)) {
		if (e.type == ALLOCATION_FREED) {
			t->is_freed = true;
			t->reason = e.reason;
		}
	}
}

static inline void drive_open(struct turn_drive *t, const char *relay, const char *username, const char *password, bool is_rfc_mode)
{
	struct endpoint r = drive_endpoint(relay);
	struct ip any = { .family = r.ip.family };
	struct allocation_config cfg = { .username = username, .password = password, .is_rfc_mode = is_rfc_mode, .rng = sys_rng() };

	*(r.ip.family == 4 ? &cfg.v4 : &cfg.v6) = r;
	memset(t, 0, sizeof(*t));
	t->fd = drive_socket(ip_is_loopback(&r.ip) ? &r.ip : &any, &t->local);
	t->a = allocation_new(&cfg, sys_now());
	drive_flush(t);
}

/* One STUN message or deadline. Channel data that comes meanwhile is lost. */
static inline void drive_step(struct turn_drive *t, int ms)
{
	u8 buf[2048];
	struct endpoint from;
	ssize_t n = drive_recv(t->fd, buf, sizeof(buf), &from, ms);

	if (n >= 0)
		(void)allocation_input(t->a, sys_now(), &t->local, &from, SPAN(buf, n));
	if (allocation_next_timeout(t->a) <= sys_now())
		allocation_timeout(t->a, sys_now());
	drive_flush(t);
}

static inline bool drive_allocate(struct turn_drive *t, u8 family)
{
	for (u64 end = sys_now() + SEC(9); sys_now() < end && !t->is_freed && !allocation_relayed(t->a, family);)
		drive_step(t, 50);
	return allocation_relayed(t->a, family) != NULL;
}

/* The number, 0 when the relay refuses. */
static inline u16 drive_bind(struct turn_drive *t, const struct endpoint *peer)
{
	struct endpoint got;
	u16 number = 0;

	if (allocation_bind(t->a, sys_now(), peer) != 0)
		return 0;
	drive_flush(t);
	for (u64 end = sys_now() + SEC(9); sys_now() < end && !t->is_freed;) {
		if (allocation_peer_to_channel(t->a, sys_now(), peer, &number) == 0 &&
		    allocation_channel_to_peer(t->a, sys_now(), number, &got) == 0)
			return number;
		drive_step(t, 50);
	}
	return 0;
}

static inline void drive_close(struct turn_drive *t)
{
	allocation_free(t->a);
	close(t->fd);
}
