/* core/wg/wg.h: WireGuard (Noise_IKpsk2), both roles, with the index scheme and timers of spec 20 §6.
 *
 * `struct wg_local` is what all tunnels of one process share: key pair, rate limiter, last time stamp. `struct wg` is the tunnel to one
 * peer: handshakes in flight, a ring of WG_SESSIONS sessions, timers. Neither knows addresses: the owner finds the tunnel for a
 * datagram and sends what wg_poll_transmit() yields to wherever the peer is now. A session's memory is allocated when a handshake
 * makes it and given back when it expires; no other call allocates.
 *
 * The life of a received datagram:
 *
 *	switch (wg_classify(datagram, &index))
 *	WG_INITIATION:  wg_gate() ok → wg_initiation_open() → tunnel by init.peer_public → wg_input_initiation()
 *	WG_RESPONSE:    wg_gate() ok → tunnel by index >> 8 → wg_input()
 *	WG_COOKIE:                     tunnel by index >> 8 → wg_input()
 *	WG_DATA:                       tunnel by index >> 8 → wg_open_prepare() … aead_open(batch) … wg_open_commit()
 *
 * and of one to be sent: wg_seal_prepare() … aead_seal(batch). When it answers ERR_STATE there is no session: keep the packet (up to
 * WG_QUEUE_MAX, newest dropped; the owner's memory), call wg_initiate(), and seal what was kept at WG_EVENT_SENDABLE, after having
 * polled the transmits (the initiator's empty packet goes first).
 *
 * A handshake attempt:
 *
 *            wg_initiate() or timer + jitter           response
 *   [quiet] ─────────────────────────────▶ [attempt] ───────────▶ [quiet]
 *                                            │  ▲  │ 20 s after its first initiation
 *                                            └──┘  └──────────▶ [expired] → WG_EVENT_EXPIRED: the connection has failed
 *                                    every 5 s + jitter
 *
 * A session: made by the response (both roles). The initiator sends on it at once, the responder after the first packet received on it.
 * It receives for 180 s; the initiator sends on it for 170 s, the responder for 180 s. 540 s without a new one expire the tunnel.
 *
 * `now` is monotonic ns, `wall` Unix ns for TAI64N stamps. Nothing is ever logged; what happened is counted in wg_local.stats.
 */
#pragma once

#include "core/base/rng.h"
#include "core/base/time.h"
#include "core/crypto/aead.h"
#include "core/crypto/hash.h"
#include "core/ip/addr.h"

#define WG_INITIATION_LEN 148u
#define WG_RESPONSE_LEN 92u
#define WG_COOKIE_LEN 64u
#define WG_HEADER_LEN 16u
#define WG_KEEPALIVE_LEN 32u

#define WG_REKEY_AFTER SEC(120)
#define WG_REJECT_AFTER SEC(180)
#define WG_INITIATOR_SENDS SEC(170)     /* the initiator stops using a session for sending (spec 20 §6.2) */
#define WG_REKEY_TIMEOUT SEC(5)
#define WG_JITTER_MAX MSEC(333)         /* before every timer-driven initiation */
#define WG_ATTEMPT_TIME SEC(20)         /* whitepaper: 90 s; shorter than ICE's timeout on purpose (spec 20 §11.14) */
#define WG_KEEPALIVE SEC(10)
#define WG_UNANSWERED (WG_KEEPALIVE + WG_REKEY_TIMEOUT)
#define WG_EXPIRE (3 * WG_REJECT_AFTER)
#define WG_COOKIE_VALID SEC(120)
#define WG_COOKIE_SECRET_LIFE SEC(128)
#define WG_HANDSHAKES_PER_SEC 100u      /* of all tunnels together; above it a cookie is asked for */
#define WG_SESSIONS 8u
#define WG_WINDOW 8192u                 /* replay window in packets */
#define WG_QUEUE_MAX 256u               /* plaintext packets an owner may keep without session */
#define WG_TX_MAX 4u                    /* own messages waiting in one tunnel; the oldest is displaced */
#define WG_REJECT_AFTER_MESSAGES (UINT64_MAX - (1ull << 13)) /* whitepaper §6.1 */

/* --- shared by all tunnels ----------------------------------------------------------------------------------------------- */

struct wg_stats {
	u64 initiations_in, responses_in, cookies_in, initiations_out, responses_out, cookies_out;
	u64 bad_mac, under_load, bad_handshake, old_stamp, unknown_session, expired_session, auth_failed, replayed;
	u64 keepalives_in, keepalives_out, tx_displaced;
};

struct wg_local {
	u8 priv[32];
	u8 pub[32];
	u8 mac1_key[32];      /* of messages to us */
	u8 cookie_key[32];    /* of cookie replies from us */
	u8 cookie_secret[32];
	u64 cookie_secret_born;
	u64 window_start;     /* of the second being counted */
	u32 window_count;
	u64 last_stamp;       /* wall ns of the newest initiation of any tunnel, so stamps rise even if the clock does not */
	struct rng *rng;      /* borrowed */
	struct wg_stats stats;
};

/* priv NULL: draws a key pair. rng is borrowed. */
void wg_local_init(struct wg_local *l, struct rng *rng, const u8 *priv, u64 now);
void wg_local_deinit(struct wg_local *l); /* wipes */

enum wg_type { WG_NONE, WG_INITIATION, WG_RESPONSE, WG_COOKIE, WG_DATA };

/* By type and exact length (spec 20 §2). *receiver is the index of types 2..4 (conn24 << 8 | session8), 0 otherwise. */
enum wg_type wg_classify(struct span datagram, u32 *receiver);

/* First door for types 1 and 2: MAC1, and MAC2 when over WG_HANDSHAKES_PER_SEC. `from` behind a relay is the peer's address, not
 * the relay's. 0 = go on. ERR_AUTH = drop. ERR_LIMIT = drop, and send the WG_COOKIE_LEN bytes in `reply` back. */
int wg_gate(struct wg_local *l, u64 now, struct span datagram, const struct ip *from,
	    u8 reply[static WG_COOKIE_LEN]) MUST_CHECK;

/* An initiation after its first half: who sent it. Valid for one wg_input_initiation(); wipe with secret_wipe() when unused. */
struct wg_initiation {
	u8 peer_public[32];
	u8 hash[32];
	u8 chain[32];
	u8 ephemeral[32];
	u8 stamp[28]; /* still encrypted */
	u32 sender;
};

/* ERR_AUTH when it was not made for our key. */
int wg_initiation_open(struct wg_local *l, struct span datagram, struct wg_initiation *out) MUST_CHECK;

/* --- one tunnel ---------------------------------------------------------------------------------------------------------- */

enum wg_event {
	WG_EVENT_NONE,
	WG_EVENT_ESTABLISHED, /* the first handshake message of the peer was accepted; once in a tunnel's life */
	WG_EVENT_SENDABLE,    /* a new session is used for sending from now on */
	WG_EVENT_EXPIRED,     /* terminal: no answer for WG_ATTEMPT_TIME, or no session for WG_EXPIRE */
};

struct wg_session; /* session.h */

/* An initiation of ours that has not been answered. */
struct wg_inflight {
	bool is_set;
	u32 index; /* ours */
	u64 sent_at;
	u8 ephemeral[32];
	u8 hash[32];
	u8 chain[32];
};

struct wg {
	struct wg_local *local; /* borrowed */
	u8 peer_public[32];
	u8 psk[32];
	u8 static_shared[32]; /* DH of both static keys */
	u8 peer_mac1_key[32];
	u8 peer_cookie_key[32];
	u32 conn24;
	u8 session8; /* last one used */

	struct wg_inflight inflight, inflight_before; /* a response may answer either (spec 20 §6.4) */
	struct wg_session *ring[WG_SESSIONS]; /* by index % WG_SESSIONS */
	struct wg_session *current;           /* the one used for sending, or NULL */
	u64 session_order;                    /* of the newest session */

	u8 newest_stamp[12]; /* TAI64N of the newest initiation accepted */
	u8 last_mac1[16];    /* of our last handshake message: binds cookie replies */
	u32 last_mac1_index;
	bool has_last_mac1;
	u8 cookie[16];
	u64 cookie_until;

	bool is_attempting, is_established, is_expired;
	bool wants_another_keepalive; /* more data came while the keepalive was armed */
	u64 attempt_started;
	u64 initiate_at;        /* a timer-driven initiation, jitter included; TIME_NEVER none */
	u64 keepalive_at;       /* passive keepalive */
	u64 unanswered_at;      /* new handshake because data stays unanswered */
	u64 last_session_at;    /* or creation: for WG_EXPIRE */
	u64 last_handshake;     /* completion of the newest handshake, 0 never; for status output */

	struct {
		u8 len;
		u8 data[WG_INITIATION_LEN];
	} tx[WG_TX_MAX];
	u8 tx_head, tx_count;
	u8 events; /* bit 1 << enum wg_event: waiting to be polled */
};

/* conn24 < 2^24 is the owner's number for this tunnel. ERR_INVAL: peer_public is no usable key. Starts no handshake. */
int wg_init(struct wg *w, struct wg_local *l, u64 now, u32 conn24, const u8 peer_public[static 32],
	    const u8 psk[static 32]) MUST_CHECK;
void wg_deinit(struct wg *w); /* wipes */

/* Starts a handshake at once. ERR_STATE when one is in progress or the tunnel is expired. Debouncing is the owner's (spec 20 §6.3). */
int wg_initiate(struct wg *w, u64 now, u64 wall);
static inline bool wg_is_handshaking(const struct wg *w)
{
	return w->is_attempting || w->initiate_at != TIME_NEVER;
}

/* Second half of an initiation for this tunnel. ERR_AUTH, ERR_REPLAY (stamp not newer), ERR_NOMEM, ERR_STATE (expired),
 * ERR_NOT_OURS (another peer's). */
int wg_input_initiation(struct wg *w, u64 now, const struct wg_initiation *init) MUST_CHECK;
/* Types 2 and 3. ERR_NOT_FOUND (nothing in flight under that index), ERR_AUTH, ERR_NOMEM, ERR_MALFORMED (other types). */
int wg_input(struct wg *w, u64 now, struct span datagram) MUST_CHECK;

/* Data in. prepare fills the job; its key stays readable until wg_timeout() or wg_deinit(), so handshakes of the same batch may be fed
 * in between (at worst the packets of the session they displace are lost). ERR_NOT_FOUND: no such session; ERR_EXPIRED; ERR_MALFORMED.
 * commit, after aead_open(), judges: ERR_AUTH, ERR_REPLAY, ERR_NOT_FOUND; otherwise 0, and job->data, job->len are the inner packet, len 0
 * being a keepalive. commit reads the header, WG_HEADER_LEN bytes before job->data. */
int wg_open_prepare(struct wg *w, u64 now, struct mspan datagram, struct aead_job *job) MUST_CHECK;
int wg_open_commit(struct wg *w, u64 now, const struct aead_job *job) MUST_CHECK;
/* All three steps for one datagram; *inner points into it. */
int wg_open(struct wg *w, u64 now, struct mspan datagram, struct span *inner) MUST_CHECK;

/* Data out: slot = [header 16][len plaintext][room for tag 16]. Writes the header, takes a counter, fills the job. The datagram is
 * WG_HEADER_LEN + len + AEAD_TAG bytes long after aead_seal(). ERR_STATE: no usable session. Nothing is padded (spec 20 §3). */
bool wg_can_send(const struct wg *w, u64 now);
int wg_seal_prepare(struct wg *w, u64 now, u8 *slot, u32 len, struct aead_job *job) MUST_CHECK;
/* Both steps for one packet. */
int wg_seal(struct wg *w, u64 now, u8 *slot, u32 len) MUST_CHECK;

/* Own messages (handshakes, keepalives), oldest first; returns the length, 0 when there is none. Not-ECT on the wire. */
size_t wg_poll_transmit(struct wg *w, u8 out[static WG_INITIATION_LEN]);
/* In the order of the enum; equal ones that wait together are one. */
enum wg_event wg_poll_event(struct wg *w);

void wg_timeout(struct wg *w, u64 now, u64 wall);
/* O(WG_SESSIONS). Changes with every packet; ask once per batch. TIME_NEVER after WG_EVENT_EXPIRED. */
u64 wg_next_timeout(const struct wg *w);
