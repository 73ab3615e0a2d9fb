#include "applets/common/net_watch.h"

#include "core/base/err.h"

static void arm(struct net_watch *w)
{
	loop_timer_set(w->loop, &w->timer, net_next_timeout(w->net));
}

static void readable(void *ctx, int fd, unsigned events, u64 now)
{
	struct net_watch *w = ctx;

	(void)fd;
	(void)events;
	net_input(w->net, now);
	arm(w);
}

static void due(void *ctx, u64 now)
{
	struct net_watch *w = ctx;

	if (net_timeout(w->net, now) && w->on_uplink_change)
		w->on_uplink_change(w->ctx);
	arm(w);
}

int net_watch_open(struct net_watch *w, struct loop *loop, u32 ifindex, void (*on_uplink_change)(void *ctx), void *ctx)
{
	*w = (struct net_watch){ .loop = loop, .on_uplink_change = on_uplink_change, .ctx = ctx };
	w->timer = (struct loop_timer){ .cb = due, .ctx = w };
	int rc = net_open(&w->net, ifindex);
	if (rc)
		return rc;
	w->fd = loop_fd_add(loop, net_fd(w->net), LOOP_READ, readable, w);
	if (!w->fd) {
		net_watch_close(w);
		return ERR_NOMEM;
	}
	arm(w);
	return 0;
}

void net_watch_close(struct net_watch *w)
{
	if (!w->loop)
		return;
	loop_timer_clear(w->loop, &w->timer);
	loop_fd_del(w->fd);
	net_close(w->net);
	*w = (struct net_watch){ 0 };
}
