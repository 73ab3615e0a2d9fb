/* applets/common/net_watch.h: the tunnel interface's addresses and routes (platform/net.h), served by the loop. */
#pragma once

#include "core/loop/loop.h"
#include "platform/net.h"

struct net_watch {
	struct net *net; /* for net_set_addresses() and net_set_routes() */
	struct loop *loop;
	struct loop_fd *fd;
	struct loop_timer timer;
	void (*on_uplink_change)(void *ctx);
	void *ctx;
};

/* `on_uplink_change` (may be NULL) is called when the way out of this host is another one. Errors as of net_open(). */
int net_watch_open(struct net_watch *w, struct loop *loop, u32 ifindex, void (*on_uplink_change)(void *ctx), void *ctx) MUST_CHECK;
/* A zeroed struct is closed already. */
void net_watch_close(struct net_watch *w);
