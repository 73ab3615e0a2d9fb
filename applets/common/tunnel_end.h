/* applets/common/tunnel_end.h: what the programs at both ends of the tunnel wire alike: an engine (client or gateway), the corridor of its packets,
 * the watch over the network, and the connection to the portal.
 *
 *	TUNNEL_ENGINE(client, struct client)               in the applet: the engine's doors as a table, client_engine
 *
 *	struct tunnel_end end = { .program = "…", .loop = loop, .ops = &client_engine, .owner = s, .on_events = …, .on_fatal = … };
 *	end.link = …tunnel_end_link(&end, …)               then the engine: end.engine = client_new(…)
 *	tunnel_end_open(&end, "tun-firezone", on_uplink_change)
 *	…
 *	tunnel_end_close(&end, SEC(1))
 */
#pragma once

#include "applets/common/corridor.h"
#include "applets/common/net_watch.h"
#include "applets/common/portal_link.h"

/* The doors of an engine, which is the first argument of each. */
struct tunnel_engine {
	void (*udp_input)(void *e, u64 now, u64 wall, struct udp_rx *rx, size_t n);
	bool (*poll_tun)(void *e, struct tun_pkt *out);
	void (*tun_input)(void *e, u64 now, u64 wall, struct tun_pkt *pkt, size_t n);
	void (*flush)(void *e, u64 now);
	bool (*poll_transmit)(void *e, struct udp_tx *out);
	void (*timeout)(void *e, u64 now, u64 wall);
	u64 (*next_timeout)(void *e);
	int (*message)(void *e, u64 now, u64 wall, const struct portal_message *m);
	void (*portal_lost)(void *e);
};

#define TUNNEL_ENGINE(name, type)                                                                                              \
	static void name##_door_udp_input(void *e, u64 now, u64 wall, struct udp_rx *rx, size_t n)                             \
	{                                                                                                                      \
		name##_udp_input(e, now, wall, rx, n);                                                                         \
	}                                                                                                                      \
	static bool name##_door_poll_tun(void *e, struct tun_pkt *out)                                                         \
	{                                                                                                                      \
		return name##_poll_tun(e, out);                                                                                \
	}                                                                                                                      \
	static void name##_door_tun_input(void *e, u64 now, u64 wall, struct tun_pkt *pkt, size_t n)                           \
	{                                                                                                                      \
		name##_tun_input(e, now, wall, pkt, n);                                                                        \
	}                                                                                                                      \
	static void name##_door_flush(void *e, u64 now)                                                                        \
	{                                                                                                                      \
		name##_flush(e, now);                                                                                          \
	}                                                                                                                      \
	static bool name##_door_poll_transmit(void *e, struct udp_tx *out)                                                     \
	{                                                                                                                      \
		return name##_poll_transmit(e, out);                                                                           \
	}                                                                                                                      \
	static void name##_door_timeout(void *e, u64 now, u64 wall)                                                            \
	{                                                                                                                      \
		name##_timeout(e, now, wall);                                                                                  \
	}                                                                                                                      \
	static u64 name##_door_next_timeout(void *e)                                                                           \
	{                                                                                                                      \
		return name##_next_timeout((const type *)e);                                                                   \
	}                                                                                                                      \
	static int name##_door_message(void *e, u64 now, u64 wall, const struct portal_message *m)                             \
	{                                                                                                                      \
		return name##_message(e, now, wall, m);                                                                        \
	}                                                                                                                      \
	static void name##_door_portal_lost(void *e)                                                                           \
	{                                                                                                                      \
		name##_portal_lost(e);                                                                                         \
	}                                                                                                                      \
	static const struct tunnel_engine name##_engine = {                                                                    \
		name##_door_udp_input, name##_door_poll_tun, name##_door_tun_input, name##_door_flush, name##_door_poll_transmit, \
		name##_door_timeout, name##_door_next_timeout, name##_door_message, name##_door_portal_lost,                   \
	}

struct tunnel_end {
	const char *program; /* in messages to the user */
	struct loop *loop;
	const struct tunnel_engine *ops;
	void *engine;
	void *owner;
	void (*on_events)(void *owner); /* the engine was driven: poll its events */
	void (*on_fatal)(void *owner, enum channel_fatal why, const char *text);
	void (*on_closed)(void *owner); /* NULL, or after link_close() */

	struct corridor *corridor;
	struct net_watch net;
	struct link *link;
};

/* Who this device is to the portal; `params` beside external_id and name, a NULL value leaves one out. */
struct tunnel_end_portal {
	enum msg_role role;
	const char *id, *name; /* as configured, or NULL */
	const char *api_url, *token, *ca_file;
	u64 max_partition;
	struct channel_param params[2];
	size_t n_params;
};

/* False after writing the reason into `why`. Connects nothing before link_start(). */
bool tunnel_end_link(struct tunnel_end *t, const struct tunnel_end_portal *p, char *why, size_t why_cap);
/* TUN, UDP sockets, watch. Returns 0 or, after saying what failed, the exit status. */
int tunnel_end_open(struct tunnel_end *t, const char *tun_name, void (*on_uplink_change)(void *owner));
/* Flushes goodbyes for at most `grace_ns`. Frees everything but engine and loop; a part that was never opened is skipped. */
void tunnel_end_close(struct tunnel_end *t, u64 grace_ns);

/* False when the interface took neither address (said already). `*stack` as of net_set_addresses(). */
bool tunnel_end_set_addresses(struct tunnel_end *t, const struct ip *ipv4, const struct ip *ipv6, unsigned *stack);
/* A message of the engine's for the portal. */
void tunnel_end_send(struct tunnel_end *t, const struct portal_message *m);
