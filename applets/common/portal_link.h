/* applets/common/portal_link.h: the portal connection of an applet: channel (core/phoenix) + resolver + TCP race + TLS on the loop.
 *
 * Before each attempt the host is looked up again (literals are not), all addresses are raced for 5 s, the whole attempt has 15 s
 * (spec 10 §1.6). The callbacks run from the loop, never from inside link_*() calls, and may call link_*() except link_free().
 */
#pragma once

#include "core/phoenix/channel.h"

#define LINK_TCP_TIMEOUT SEC(5)
#define LINK_MARK 0xfd002021u /* keeps the sockets of client and gateway out of the tunnel */

struct loop;
struct link;

struct link_callbacks {
	void (*on_connected)(void *ctx); /* joined */
	void (*on_disconnected)(void *ctx, int err, const char *text, u64 retry_at);
	void (*on_message)(void *ctx, const struct portal_message *m); /* borrowed */
	/* Given up; `text` is the cause as users know it: "Authentication token invalid", … The link is dead. */
	void (*on_fatal)(void *ctx, enum channel_fatal why, const char *text);
	void (*on_closed)(void *ctx); /* after link_close(): Close is written, or 1 s is over */
};

struct link_config {
	struct channel_config channel;
	const char *ca_file;       /* PEM bundle; NULL = $SSL_CERT_FILE or the system's */
	u32 mark;                  /* 0 = none */
	struct rng *rng;
	struct link_callbacks cb;
	void *ctx;
};

/* NULL after writing the reason into `why`: URL, token, CA file, memory. Does nothing before link_start(). */
struct link *link_new(struct loop *loop, const struct link_config *cfg, char *why, size_t why_cap);
void link_free(struct link *l); /* drops the socket at once */
void link_start(struct link *l, const u8 *public_key);
/* As channel_send(). */
int link_send(struct link *l, const struct portal_message *m);
/* At once, and with a new key unless NULL. */
void link_reconnect(struct link *l, const u8 *public_key);
/* Close(1000), then on_closed. */
void link_close(struct link *l);
bool link_is_joined(const struct link *l);
const struct channel_stats *link_stats(const struct link *l);
/* Name servers to ask, instead of resolv.conf's (the client, spec 30 §19.3). */
void link_set_servers(struct link *l, const struct ip *servers, size_t n);
