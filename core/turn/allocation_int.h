/* core/turn/allocation_int.h: the inside of an allocation, shared by allocation.c (life, requests) and allocation_channels.c. */
#pragma once

#include "core/base/err.h"
#include "core/base/table.h"
#include "core/stun/channel.h"
#include "core/stun/stun.h"
#include "core/turn/allocation.h"

#define ALLOCATION_REALM SPAN_STR("firezone") /* spec 20 §7.1 */
#define NONCE_MAX (4u * STUN_TEXT_MAX)
#define TRANSMIT_MAX 1024u
#define CHALLENGES_MAX 8u /* 401/438 answered for one request; a relay that never is content must not keep us busy */
#define CHANNEL_NONE UINT16_MAX

enum request_kind {
	REQUEST_NONE,
	REQUEST_BINDING,
	REQUEST_ALLOCATE,
	REQUEST_REFRESH,
	REQUEST_DELETE, /* REFRESH with LIFETIME 0 */
	REQUEST_CHANNEL_BIND,
};

/* Where each request lives: one BINDING per family, one of ALLOCATE, REFRESH and DELETE, and the CHANNEL-BINDs. */
enum request_slot { SLOT_BINDING4, SLOT_BINDING6, SLOT_LIFE, SLOT_CHANNELS };
#define REQUESTS_MAX (SLOT_CHANNELS + ALLOCATION_BINDS_IN_FLIGHT)

struct request {
	u8 kind; /* enum request_kind */
	u8 family; /* of the relay's endpoint it goes to */
	u8 transmissions;
	u8 challenges;
	bool wants_send;
	bool is_probe; /* single transmission, spec 20 §8.3 c */
	bool has_credentials, has_nonce; /* as last sent */
	u16 channel; /* index into channels */
	u8 txid[STUN_TXID];
	u64 first_sent; /* with this transaction id */
	u64 due;        /* next transmission, or giving up */
};

enum channel_state { CHANNEL_FREE, CHANNEL_WAITING, CHANNEL_IN_FLIGHT, CHANNEL_BOUND };

/* Number CHANNEL_MIN + index. */
struct channel {
	struct endpoint peer;
	u8 state; /* enum channel_state */
	bool is_rebinding; /* bound, with a CHANNEL-BIND waiting or in flight */
	bool has_received; /* since it was last (re)bound */
	u16 next_waiting;
	u64 bound_at;
};

struct allocation {
	struct rng *rng;
	struct endpoint relay4, relay6;
	char username[ALLOCATION_CREDENTIAL_MAX + 1], password[ALLOCATION_CREDENTIAL_MAX + 1];
	u8 key[STUN_KEY];
	u8 nonce[NONCE_MAX];
	u16 nonce_len;
	bool is_rfc_mode;
	bool has_credentials;
	bool is_suspended;
	bool is_freed;

	const struct endpoint *active; /* one of relay4, relay6 */
	struct endpoint host[2], srflx[2], relayed[2]; /* [0] v4, [1] v6 */
	u64 srtt;

	u64 expires_at, refresh_at; /* TIME_NEVER: no allocation; no refresh planned */
	u64 last_sent;              /* keepalive or channel data */

	struct request requests[REQUESTS_MAX];
	u32 n_requests, n_to_send;

	struct channel *channels; /* grown by doubling */
	u16 n_channels, channels_cap;
	u16 next_number; /* index */
	u16 waiting_first, waiting_last;
	u64 channels_due;
	struct table by_peer; /* struct endpoint -> index + 1 */

	struct endpoint buffered[ALLOCATION_BUFFERED_BINDS];
	u16 buffered_first, n_buffered;

	struct allocation_event events[ALLOCATION_EVENTS_MAX];
	u16 events_first, n_events;
	bool freed_is_told;
	enum allocation_freed freed_reason;

	struct allocation_stats stats;
	u8 tx[TRANSMIT_MAX];
};

static inline bool allocation_is_live(const struct allocation *a)
{
	return a->expires_at != TIME_NEVER;
}

/* allocation.c: begins a request in a free slot; its first transmission waits for allocation_poll_transmit(). */
void request_start(struct allocation *a, u64 now, struct request *r, enum request_kind kind, u8 family);
void request_end(struct allocation *a, struct request *r);

/* allocation_channels.c */
void channels_clear(struct allocation *a);
void channels_timeout(struct allocation *a, u64 now);
void channels_flush_buffered(struct allocation *a, u64 now);
void channels_buffer(struct allocation *a, const struct endpoint *peer);
/* The answer to a CHANNEL-BIND, or the end of it; the request is over when they are called. */
void channel_confirm(struct allocation *a, u64 now, u16 index);
void channel_forget(struct allocation *a, u16 index);
/* Uses request slots that became free. */
void channels_start_waiting(struct allocation *a, u64 now);
