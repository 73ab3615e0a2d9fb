/* core/ice/candidate.h: one address at which a peer may be reached, its priority and its text (spec 20 §5.3, §5.5).
 *
 * On the wire:
 *
 *	candidate:<foundation> 1 udp <priority> <ip> <port> typ <host|srflx|prflx|relay>[ raddr <ip> rport <port>][ ufrag <ufrag>]
 *
 * The reader is tolerant as peers need it: unknown key/value pairs are skipped, a missing ufrag is fine. The writer is strict.
 */
#pragma once

#include "core/base/err.h"
#include "core/ip/addr.h"

#define CANDIDATE_STRLEN 192u /* longest text with its NUL */
#define ICE_UFRAG_MAX 63u     /* characters */

/* Order of preference (spec 20 §5.5). */
enum candidate_kind { CANDIDATE_HOST, CANDIDATE_PRFLX, CANDIDATE_SRFLX, CANDIDATE_RELAY };

struct candidate {
	enum candidate_kind kind;
	u32 priority;
	struct endpoint addr;  /* where the other side sends to */
	struct endpoint base;  /* local ones: what we send from; remote ones: equal to addr */
	struct endpoint raddr; /* family 0: absent; the zero address of its family for srflx and relay */
	u8 via_family;         /* relay: family in which we talk to the relay; 0 = that of addr */
};

struct candidate_text {
	struct candidate c;
	u16 component;
	bool is_udp;
	struct span ufrag; /* n = 0: absent; borrows the text */
};

/* ERR_MALFORMED when the text does not follow the grammar. Component and protocol are the caller's to judge. */
int candidate_parse(struct span text, struct candidate_text *out);

/* `ufrag` NULL leaves it out, as in invalidations. Returns buf. */
char *candidate_format(const struct candidate *c, const char *ufrag, char buf[static CANDIDATE_STRLEN]);

/* The candidate with the priority that invalidation texts and optimistic candidates carry: no agent has ranked it. */
struct candidate candidate_unranked(struct candidate c);

/* Priority of the n-th (from 0) local candidate of its kind and family. */
u32 candidate_priority(const struct candidate *c, unsigned n);
/* The same candidate's priority if the peer met it first as peer-reflexive: what PRIORITY in a check says. */
u32 candidate_prflx_priority(u32 priority);

/* The usual shapes. host: base = addr. srflx, relay: raddr is the zero address. */
struct candidate candidate_host(const struct endpoint *addr);
struct candidate candidate_srflx(const struct endpoint *addr, const struct endpoint *base);
struct candidate candidate_relay(const struct endpoint *addr, u8 via_family);

/* False for addresses that nobody can be reached at: unspecified, multicast, IPv4 link-local and broadcast, port 0. */
bool candidate_is_usable(const struct candidate *c);
