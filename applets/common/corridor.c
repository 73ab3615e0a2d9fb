#define LOG_TARGET "corridor"
#include "applets/common/corridor.h"

#include "core/base/err.h"
#include "core/base/log.h"
#include "platform/sys.h"
#include "platform/tun.h"
#include "platform/udp.h"

#include <poll.h>
#include <stdlib.h>

#define REBIND_RETRY SEC(1)

struct corridor {
	struct corridor_engine engine;
	void *ctx;
	struct loop *loop;
	u16 udp_port;
	u32 mark;

	struct tun *tun;
	struct udp_pair udp;
	struct udp_ring *ring;
	struct loop_fd *watch_tun, *watch_v4, *watch_v6;
	struct loop_timer rebind_timer;
	bool reads_v6_first; /* so that neither family starves the other */

	struct tun_pkt held; /* what the TUN did not take */
	bool has_held;
	bool has_news; /* the engine was driven: ask for events */
	struct corridor_stats stats;
};

/* --- output ------------------------------------------------------------------------------------------------------------------ */

/* False when the device does not take more now. */
static bool drain_tun(struct corridor *c, bool *worked)
{
	for (;;) {
		if (!c->has_held && !c->engine.poll_tun(c->ctx, &c->held))
			break;
		*worked = true;
		int rc = tun_write(c->tun, &c->held);
		c->has_held = rc == ERR_AGAIN;
		if (c->has_held) {
			loop_lane_want_write(c->watch_tun, true);
			return false;
		}
		if (rc)
			c->stats.tun_write_errors++;
	}
	return true;
}

static bool drain_udp(struct corridor *c, bool *worked)
{
	struct udp_tx tx[CORRIDOR_TX_RUNS];
	int rc = udp_pair_flush(&c->udp);

	while (rc != ERR_AGAIN) {
		size_t n = 0;
		while (n < ARRAY_LEN(tx) && c->engine.poll_transmit(c->ctx, &tx[n]))
			n++;
		if (n == 0)
			return true;
		*worked = true;
		rc = udp_pair_send(&c->udp, tx, n);
	}
	if (c->udp.v4)
		loop_lane_want_write(c->watch_v4, udp_is_blocked(c->udp.v4));
	if (c->udp.v6)
		loop_lane_want_write(c->watch_v6, udp_is_blocked(c->udp.v6));
	return false;
}

static enum lane_state lane_drain(void *ctx, u64 now)
{
	struct corridor *c = ctx;
	bool worked = false;

	if (c->has_news) {
		c->has_news = false;
		c->engine.handle_events(c->ctx, now);
		worked = true;
	}
	bool is_dry = drain_tun(c, &worked);
	is_dry = drain_udp(c, &worked) && is_dry;
	if (!is_dry)
		return LANE_BLOCKED;
	return worked ? LANE_WORKED : LANE_IDLE;
}

/* --- input ------------------------------------------------------------------------------------------------------------------- */

static enum lane_state read_socket(struct corridor *c, struct udp_sock *s, u64 now)
{
	struct udp_rx rx[UDP_RX_MESSAGES];

	if (!s)
		return LANE_IDLE;
	int n = udp_recv(s, c->ring, rx, ARRAY_LEN(rx));
	if (n < 0) {
		if (n != ERR_AGAIN)
			c->stats.udp_recv_errors++;
		return LANE_IDLE;
	}
	if (n > 0)
		c->engine.udp_input(c->ctx, now, loop_wall(c->loop), rx, (size_t)n);
	c->has_news = true;
	return LANE_WORKED;
}

/* One socket a turn: the receive memory is shared, and its packets must have left for the TUN before it is used again. An error of one
 * family never costs the other its datagrams (spec 20 §4). */
static enum lane_state lane_udp_in(void *ctx, u64 now)
{
	struct corridor *c = ctx;
	struct udp_sock *first = c->reads_v6_first ? c->udp.v6 : c->udp.v4;
	struct udp_sock *second = c->reads_v6_first ? c->udp.v4 : c->udp.v6;
	enum lane_state state = read_socket(c, first, now);

	c->reads_v6_first = !c->reads_v6_first;
	return state == LANE_IDLE ? read_socket(c, second, now) : state;
}

static enum lane_state lane_tun_in(void *ctx, u64 now)
{
	struct corridor *c = ctx;
	u32 bytes = 0, packets = 0;
	u64 wall = loop_wall(c->loop);

	while (bytes < CORRIDOR_STAGE_BYTES && packets < CORRIDOR_STAGE_PACKETS) {
		struct tun_pkt pkt;
		int rc = tun_read(c->tun, &pkt);
		if (rc == ERR_CLOSED) {
			log_error("TUN device is gone");
			loop_stop(c->loop);
		}
		if (rc)
			break;
		c->engine.tun_input(c->ctx, now, wall, &pkt, 1);
		bytes += pkt.len;
		packets++;
		bool worked;
		if (!drain_tun(c, &worked)) /* local replies live only until the next input */
			break;
	}
	if (packets == 0)
		return LANE_IDLE;
	c->engine.flush(c->ctx, now);
	c->has_news = true;
	return LANE_WORKED;
}

/* --- time -------------------------------------------------------------------------------------------------------------------- */

static void lane_timeout(void *ctx, u64 now)
{
	struct corridor *c = ctx;

	c->engine.timeout(c->ctx, now, loop_wall(c->loop));
	c->has_news = true;
}

static u64 lane_next_timeout(void *ctx)
{
	struct corridor *c = ctx;

	return c->has_news ? 0 : c->engine.next_timeout(c->ctx);
}

static const struct lane_ops lane = {
	.drain = lane_drain,
	.timeout = lane_timeout,
	.next_timeout = lane_next_timeout,
	.udp_in = lane_udp_in,
	.tun_in = lane_tun_in,
};

/* --- opening and closing ------------------------------------------------------------------------------------------------------ */

static void drop_sockets(struct corridor *c)
{
	loop_fd_del(c->watch_v4);
	loop_fd_del(c->watch_v6);
	c->watch_v4 = c->watch_v6 = NULL;
	udp_pair_close(&c->udp);
	c->udp = (struct udp_pair){ 0 };
}

static int bind_sockets(struct corridor *c)
{
	int rc = udp_pair_open(&c->udp, c->udp_port, c->mark);

	if (rc)
		return rc;
	if (c->udp.v4)
		c->watch_v4 = loop_lane_add(c->loop, udp_fd(c->udp.v4), LANE_UDP);
	if (c->udp.v6)
		c->watch_v6 = loop_lane_add(c->loop, udp_fd(c->udp.v6), LANE_UDP);
	if ((c->udp.v4 && !c->watch_v4) || (c->udp.v6 && !c->watch_v6)) {
		drop_sockets(c);
		return ERR_NOMEM;
	}
	log_info("UDP sockets are bound", kv_u("ipv4_port", c->udp.v4 ? udp_port(c->udp.v4) : 0),
		 kv_u("ipv6_port", c->udp.v6 ? udp_port(c->udp.v6) : 0));
	return 0;
}

void corridor_rebind(struct corridor *c)
{
	drop_sockets(c);
	c->stats.rebinds++;
	int rc = bind_sockets(c);
	if (rc) {
		log_error("cannot bind UDP sockets, trying again", kv_err(rc));
		loop_timer_set(c->loop, &c->rebind_timer, time_add(loop_now(c->loop), REBIND_RETRY));
	}
}

static void rebind_due(void *ctx, u64 now)
{
	(void)now;
	corridor_rebind(ctx);
}

int corridor_open(struct corridor **out, const struct corridor_config *cfg, const char **what)
{
	struct corridor *c = calloc(1, sizeof(*c));
	int rc = ERR_NOMEM;

	*what = "memory";
	if (!c)
		return ERR_NOMEM;
	c->engine = *cfg->engine;
	c->ctx = cfg->ctx;
	c->loop = cfg->loop;
	c->udp_port = cfg->udp_port;
	c->mark = cfg->mark;
	c->rebind_timer.cb = rebind_due;
	c->rebind_timer.ctx = c;
	c->ring = udp_ring_new();
	if (!c->ring)
		goto fail;

	*what = "TUN device";
	rc = tun_open(&c->tun, cfg->tun_name);
	if (rc)
		goto fail;
	loop_set_lane(c->loop, &lane, c);
	c->watch_tun = loop_lane_add(c->loop, tun_fd(c->tun), LANE_TUN);
	rc = c->watch_tun ? 0 : ERR_NOMEM;
	if (rc)
		goto fail;

	*what = "UDP sockets";
	rc = bind_sockets(c);
	if (rc)
		goto fail;
	*out = c;
	return 0;
fail:
	corridor_close(c, 0);
	return rc;
}

static void flush_for(struct corridor *c, u64 grace_ns)
{
	u64 end = time_add(sys_now(), grace_ns);

	for (;;) {
		u64 now = sys_now();
		if (lane_drain(c, now) != LANE_BLOCKED || now >= end)
			return;
		struct pollfd fds[2] = {
			{ .fd = c->udp.v4 ? udp_fd(c->udp.v4) : -1, .events = POLLOUT },
			{ .fd = c->udp.v6 ? udp_fd(c->udp.v6) : -1, .events = POLLOUT },
		};
		poll(fds, 2, (int)((end - now) / 1000000 + 1));
	}
}

void corridor_close(struct corridor *c, u64 grace_ns)
{
	if (!c)
		return;
	if (grace_ns && c->tun)
		flush_for(c, grace_ns);
	loop_timer_clear(c->loop, &c->rebind_timer);
	drop_sockets(c);
	loop_fd_del(c->watch_tun);
	loop_set_lane(c->loop, NULL, NULL);
	tun_close(c->tun);
	udp_ring_free(c->ring);
	free(c);
}

u32 corridor_ifindex(const struct corridor *c)
{
	return tun_ifindex(c->tun);
}

void corridor_kick(struct corridor *c)
{
	c->has_news = true;
}

const struct corridor_stats *corridor_stats(const struct corridor *c)
{
	return &c->stats;
}
