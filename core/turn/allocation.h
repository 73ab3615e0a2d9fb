/* core/turn/allocation.h: one allocation on one relay, seen from the client (RFC 8656; spec 20 §7).
 *
 * Owns the credentials, the nonce, the channels and every request in flight. Never touches a socket: STUN that came from the relay
 * goes in through allocation_input(), control messages come out through allocation_poll_transmit(). Channel data does not pass
 * through here: the owner strips and writes the four header bytes itself and asks allocation_channel_to_peer() and
 * allocation_peer_to_channel() for the numbers.
 *
 *          BINDING to v4 and v6     first answer          ALLOCATE success
 *  new ──▶ [probing] ─────────────▶ [allocating] ───────────────────────▶ [live] ──┐ refresh at half lifetime,
 *             │                        │ ▲   │  403, 440, 486, 500, 508 …   │ ▲     │ keepalive after 25 s of silence
 *             │ no answer in 8.125 s   │ └ 401/438: new nonce              │ └─────┘
 *             │                        │ │   └────────▶ [suspended]         │ 437, expiry: ALLOCATION_CANDIDATE_GONE,
 *             ▼                        │ └───────────────── refresh() ◀─────┤ back to [allocating]
 *          [freed] ◀───────────────────┴── silent 8.125 s, 401 with nonce, 420
 *          the owner drops it; every call is then a no-op
 *
 * Time is monotonic nanoseconds, lifetimes are seconds as on the wire. allocation_peer_to_channel() and
 * allocation_channel_to_peer() are O(1) and never allocate memory; allocation_timeout() is O(channels) once per due deadline.
 * After every call but those two the owner polls transmits and events until there are none.
 */
#pragma once

#include "core/base/rng.h"
#include "core/base/time.h"
#include "core/ip/addr.h"

#define ALLOCATION_CHANNELS_MAX 4096u  /* all numbers there are */
#define ALLOCATION_BINDS_IN_FLIGHT 124u /* CHANNEL-BINDs unanswered at a time; further ones wait their turn */
#define ALLOCATION_BUFFERED_BINDS 100u /* peers remembered while there is no allocation yet, oldest dropped (spec 20 §7.6) */
#define ALLOCATION_CREDENTIAL_MAX 128u
#define ALLOCATION_EVENTS_MAX 16u

struct allocation;

struct allocation_config {
	struct endpoint v4, v6; /* of the relay; family 0 = absent, at least one is there */
	const char *username;   /* copied */
	const char *password;   /* copied, wiped at the end */
	/* Talk to RFC servers such as coturn (spec 50 §12.3): first ALLOCATE without credentials, an unsigned 401 or 437 to it and
	 * an unsigned 438 are believed. Firezone's relays need none of that. */
	bool is_rfc_mode;
	struct rng *rng; /* borrowed */
};

/* NULL when out of memory. ERR-free otherwise: too long credentials are the caller's to refuse. */
struct allocation *allocation_new(const struct allocation_config *cfg, u64 now);
void allocation_free(struct allocation *a);

/* True when the relay, its endpoints and the credentials are the same (spec 20 §8.3 b). */
bool allocation_matches(const struct allocation *a, const struct allocation_config *cfg);
/* True when `remote` is one of the relay's endpoints. */
bool allocation_owns(const struct allocation *a, const struct endpoint *remote);

/* Feed one STUN message that came from the relay (allocation_owns()) to our address `local`. 0 when it was the answer to one of our
 * requests; ERR_NOT_OURS when the transaction id is unknown or it does not come from where we asked; ERR_AUTH when it is not signed
 * as it must be (the request keeps being retransmitted); ERR_MALFORMED. */
int allocation_input(struct allocation *a, u64 now, const struct endpoint *local, const struct endpoint *remote,
		     struct span datagram);

/* --- channels --------------------------------------------------------------------------------------------------------------- */

/* The peer behind channel data that arrived. ERR_NOT_FOUND unless the binding is confirmed and alive. Notes that data arrived. */
int allocation_channel_to_peer(struct allocation *a, u64 now, u16 number, struct endpoint *peer);

/* The number to send to `peer` with, towards *allocation_active(); also on a binding whose answer is still out (spec 20 §7.6).
 * ERR_NOT_FOUND: drop the packet and call allocation_bind(). */
int allocation_peer_to_channel(const struct allocation *a, u64 now, const struct endpoint *peer, u16 *number);

/* Wants a channel to `peer`. 0 also when there is one, one is on its way, or the wish is remembered until there is an allocation.
 * ERR_STATE: suspended or freed. ERR_UNSUPPORTED: no relayed address of that family. ERR_LIMIT: no number is free. ERR_NOMEM. */
int allocation_bind(struct allocation *a, u64 now, const struct endpoint *peer);

/* Channel data was sent: postpones the keepalive. */
void allocation_note_sent(struct allocation *a, u64 now);

/* --- life -------------------------------------------------------------------------------------------------------------------- */

/* Is the relay still there and does it know us? (spec 20 §8.3 c). Restarts a suspended allocation. */
void allocation_refresh(struct allocation *a, u64 now);

void allocation_timeout(struct allocation *a, u64 now);
/* The next instant at which allocation_timeout() has something to do, TIME_NEVER when idle. */
u64 allocation_next_timeout(const struct allocation *a);

/* The next control message; `data` is valid until the next call of any kind. False when there is none. */
struct allocation_transmit {
	struct endpoint dst; /* source: the system's choice */
	struct span data;
};
bool allocation_poll_transmit(struct allocation *a, u64 now, struct allocation_transmit *out);

enum allocation_event_type {
	ALLOCATION_ACTIVE,         /* the first answer fixed the socket that we use; allocation_srtt() is known from now on */
	ALLOCATION_CANDIDATE,      /* `kind`, `addr`, `base` */
	ALLOCATION_CANDIDATE_GONE, /* a relay candidate is invalid: `addr` (host and server-reflexive ones never are, spec 20 §5.2) */
	ALLOCATION_FREED,          /* `reason`; the last event */
};

enum allocation_candidate_kind { ALLOCATION_HOST, ALLOCATION_SRFLX, ALLOCATION_RELAY };

enum allocation_freed {
	ALLOCATION_NO_RESPONSE,
	ALLOCATION_BAD_CREDENTIALS, /* 401 although we had a nonce */
	ALLOCATION_INCOMPATIBLE,    /* 420 */
};

struct allocation_event {
	enum allocation_event_type type;
	enum allocation_candidate_kind kind;
	enum allocation_freed reason;
	struct endpoint addr, base;
};

bool allocation_poll_event(struct allocation *a, struct allocation_event *out);

/* --- what is known ----------------------------------------------------------------------------------------------------------- */

/* The endpoint of the relay that we talk to, NULL before the first answer. Borrowed. */
const struct endpoint *allocation_active(const struct allocation *a);
/* Our relayed address of a family (4 or 6), NULL when there is none. Borrowed. */
const struct endpoint *allocation_relayed(const struct allocation *a, u8 family);
/* Smoothed round trip, TIME_NEVER before the first answer. */
u64 allocation_srtt(const struct allocation *a);
bool allocation_is_freed(const struct allocation *a);
/* Current candidates, host and server-reflexive first. Returns their number, at most 6. */
size_t allocation_candidates(const struct allocation *a, struct allocation_event out[static 6]);

struct allocation_stats {
	u64 rx_responses, rx_unknown, rx_unsigned, rx_malformed, rx_errors;
	u64 tx_requests, timeouts, channels_bound, binds_dropped, channels_exhausted, events_lost;
};
const struct allocation_stats *allocation_stats(const struct allocation *a);
