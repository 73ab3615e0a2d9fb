/* applets/common/corridor.h: the wiring of the packet corridor that client and gateway share.
 *
 *      UDP sockets ──▶ engine.udp_input ──▶ engine.poll_tun ──▶ TUN
 *      TUN ──▶ engine.tun_input ──▶ engine.flush ──▶ engine.poll_transmit ──▶ UDP sockets
 *
 * It owns the sockets, the TUN device and the receive memory, registers itself as the loop's lane, and knows nothing of what the
 * engine decides. After anything that may have produced events it calls engine.handle_events() once.
 */
#pragma once

#include "core/ip/datagram.h"
#include "core/loop/loop.h"

#define CORRIDOR_STAGE_BYTES (120u * 1024u) /* plaintext taken from the TUN before sealing; performance.md §4 */
#define CORRIDOR_STAGE_PACKETS 256u	    /* reads before sealing: small packets come one a call */
#define CORRIDOR_TX_RUNS 64u		    /* runs handed to the sockets in one call */

struct corridor_engine {
	void (*udp_input)(void *ctx, u64 now, u64 wall, struct udp_rx *rx, size_t n);
	bool (*poll_tun)(void *ctx, struct tun_pkt *out);
	void (*tun_input)(void *ctx, u64 now, u64 wall, struct tun_pkt *pkt, size_t n);
	void (*flush)(void *ctx, u64 now);
	bool (*poll_transmit)(void *ctx, struct udp_tx *out);
	void (*timeout)(void *ctx, u64 now, u64 wall);
	u64 (*next_timeout)(void *ctx);
	void (*handle_events)(void *ctx, u64 now);
};

struct corridor;

struct corridor_config {
	struct loop *loop;
	const struct corridor_engine *engine; /* copied */
	void *ctx;
	const char *tun_name;
	u16 udp_port;  /* preferred; ephemeral when taken */
	u32 mark;
};

/* Opens everything and starts serving. On failure *what names the part: "TUN device" or "UDP sockets". */
int corridor_open(struct corridor **out, const struct corridor_config *cfg, const char **what) MUST_CHECK;
/* Flushes for at most `grace_ns` what is queued (goodbyes), then closes. NULL is allowed. */
void corridor_close(struct corridor *c, u64 grace_ns);

/* Drops both sockets and binds anew (roaming, spec 20 §1.1). While neither could be bound the corridor idles and tries again every
 * second. */
void corridor_rebind(struct corridor *c);

u32 corridor_ifindex(const struct corridor *c);

/* Call after driving the engine from outside (portal message, signal): hands out transmits and events in the next iteration. */
void corridor_kick(struct corridor *c);

struct corridor_stats {
	u64 tun_write_errors, udp_recv_errors, rebinds;
};
const struct corridor_stats *corridor_stats(const struct corridor *c);
