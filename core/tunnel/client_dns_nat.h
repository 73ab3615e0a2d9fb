/* core/tunnel/client_dns_nat.h: does the gateway know which name our proxy addresses stand for? (spec 30 §7.2–§7.3)
 *
 * One entry per (gateway, name, resource), on the list of the name's record (core/tunnel/client_stub.h). Only present where the resource is
 * authorized on that gateway; so an entry also says that the gateway may send from the name's addresses.
 *
 *              flow created; query of the name
 *   (no entry) ───────────────────────────────▶ [pending]  ◀──── query (traffic passes meanwhile) ──────┐
 *                                                │  ▲  │ status Active: packets leave, in order        │
 *                      AssignedIps again: with   │  │  └───────────────────────────────────────▶ [confirmed]
 *                      traffic or a query, once  └──┘  │                                             │
 *                      in DNS_NAT_RESEND               │ Inactive: packets dropped                   │ Inactive
 *                                                      └──────────────▶ [failed] ◀───────────────────┘
 *                                                                         │ traffic passes, the gateway refuses it
 *                                                    [pending] ◀── query ─┘ (traffic waits again)
 *
 * While pending for the first time, or again after a failure, up to DNS_NAT_PACKETS packets wait. Shared by the files client*.c only.
 */
#pragma once

#include "core/base/time.h"
#include "core/ip/segment.h"
#include "core/tunnel/client_stub.h"
#include "core/tunnel/control.h"
#include "core/tunnel/pending.h"

#define DNS_NAT_RESEND SEC(2)   /* spec 30 §1.2 */
#define DNS_NAT_PACKETS 32u     /* likewise */
#define DNS_NAT_EAGER 64u       /* names announced at once when a flow is created; further ones with their first packet */
#define DNS_NAT_MAX 131072u     /* entries; names beyond go unannounced */

struct client;
struct gateway_peer;
struct resource;

enum dns_nat_state { DNS_NAT_PENDING, DNS_NAT_CONFIRMED, DNS_NAT_FAILED };

struct dns_nat {
	struct gateway_peer *gateway;
	struct resource *resource;
	struct stub_record *record;
	enum dns_nat_state state;
	bool is_buffering, was_sent;
	u64 sent_at;
	struct pending_packets *packets; /* NULL until one came */
	struct dns_nat *next_of_record;
	struct dns_nat *next, **link; /* all of them */
};

/* The name was asked for just now and answered here. */
void dns_nat_query(struct client *c, struct stub_record *r);
/* A DNS resource was authorized on its gateway, perhaps anew after a refusal: then known names are announced again. The packets that waited for that (may be NULL) are taken out. */
void dns_nat_authorized(struct client *c, struct resource *r, struct pending_packets *packets);
/* True when the packet was taken into a buffer, segment by segment. The resource is authorized. */
bool dns_nat_takes(struct client *c, struct resource *r, struct segmenter *s);
void dns_nat_status(struct client *c, struct gateway_peer *g, const struct control_status *m);
/* The gateway may send from this address. */
bool dns_nat_allows(const struct client *c, const struct gateway_peer *g, const struct ip *src);
/* Entries of this gateway and this resource; NULL means any. */
void dns_nat_forget(struct client *c, const struct gateway_peer *g, const struct resource *r);
