/* core/tunnel/nat.h: between the proxy addresses a client uses and the real ones in the site (spec 40 §9.5, §9.6); one table per client.
 *
 *	inside    protocol, source port (or echo id) of the client, proxy address
 *	outside   protocol, source port as the site sees it, real address
 *
 *	                    first packet out: a port nobody has, the original if possible
 *	             (none) ──────────────────────────────▶ [unconfirmed] ── a packet or an ICMP error came back ──▶ [confirmed]
 *	                                                         │ 60 s                                                 │ idle, FIN both ways,
 *	                                                         ▼                                                      ▼ RST
 *	   forgotten, or its port taken again ◀──────────── [expired]: what still comes back is dropped ◀───────────────┘
 *
 * Real addresses are shared with packets that go out untranslated, to a resource by network: a port of such a packet is taken from a session
 * that is over (nat_yield), or its answers would be dropped as late ones.
 *
 * A session keeps its real address whatever the domain resolves to later. One that the client opens again (SYN) before its end lives on as
 * if nothing had ended. Families are never mixed. Sessions end on nat_tick() only. All calls are O(1) but those that make (a search for a
 * port) or end sessions (O(log n)). Memory is taken for each new session and given back when it is forgotten, never otherwise.
 */
#pragma once

#include "core/base/heap.h"
#include "core/base/table.h"
#include "core/ip/icmp.h"

#define NAT_SESSIONS_MAX 16384u /* of one client; more are refused */
#define NAT_EXPIRED_MAX 4096u   /* remembered; the one not seen for longest is forgotten first */
#define NAT_PROBES_NEAR 32u     /* ports tried for one session: upward from the original, */
#define NAT_PROBES_FAR 32u      /* then all over the range: refusing one must not cost more than serving one */

#define NAT_TCP_SPAN SEC(7440) /* 2 h 4 min (RFC 5382; spec 40 §19) */
#define NAT_UDP_SPAN SEC(120)
#define NAT_ECHO_SPAN SEC(120)
#define NAT_UNCONFIRMED_SPAN SEC(60) /* since the last packet out, while nothing ever came back */
#define NAT_CLOSED_SPAN SEC(5)       /* after FIN both ways */

struct nat_key {
	u8 ip[16];
	u8 family, kind;
	u16 port;
};

struct nat_session;

struct nat_stats {
	u64 opened, ended;
	u64 refused_full, refused_no_port; /* new sessions */
	u64 late;                          /* packets of expired sessions */
	u64 forgotten;                     /* expired sessions beyond NAT_EXPIRED_MAX */
};

struct nat {
	struct table inside;  /* live sessions */
	struct table outside; /* live and expired ones */
	struct heap due;
	struct nat_session *recent; /* a run of packets of one session costs one look-up */
	struct nat_session *newest, *oldest; /* of the expired */
	u32 n_live, n_expired;
	struct nat_stats stats;
};

enum nat_result {
	NAT_NONE,    /* no such session */
	NAT_DONE,    /* translated in place, `p` with it */
	NAT_EXPIRED, /* of a session that is over: to be dropped */
	NAT_REFUSED, /* no session can be made for it: to be dropped */
};

void nat_init(struct nat *t, struct rng *rng);
void nat_deinit(struct nat *t);
/* Forgets everything, the expired too. */
void nat_reset(struct nat *t);

/* A packet of the client's to a proxy address, all checksums complete. Without a session: NAT_NONE when `real` is NULL, else one is opened to
 * it (of the same family). */
enum nat_result nat_outbound(struct nat *t, u64 now, const struct ip *real, u8 *data, struct packet *p);

/* A packet of the client's that goes out as it is. Of a connection in progress (TCP without SYN) it takes nothing. */
void nat_yield(struct nat *t, const struct packet *p);

/* A packet from the site. `is_partial`: its checksum field holds only the pseudo header's sum (VNET_NEEDS_CSUM), as in super-packets. */
enum nat_result nat_inbound(struct nat *t, u64 now, u8 *data, struct packet *p, bool is_partial);

/* An ICMP error from the site. NAT_DONE: `out` is what the client gets instead, `*len` bytes. NAT_NONE also when it quotes nothing with
 * ports. */
enum nat_result nat_inbound_error(struct nat *t, u64 now, const u8 *data, const struct packet *p, u8 out[static TUNNEL_MTU], u32 *len);

/* Ends what is over; every second (spec 40 §9.5). */
void nat_tick(struct nat *t, u64 now);

static inline bool nat_is_empty(const struct nat *t)
{
	return t->outside.count == 0;
}
