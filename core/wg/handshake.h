/* core/wg/handshake.h: the messages of Noise_IKpsk2 as WireGuard lays them out (whitepaper §5.4). Private to core/wg.
 *
 *	initiation   type 4 | sender 4 | ephemeral 32 | static 32+16 | stamp 12+16 | mac1 16 | mac2 16
 *	response     type 4 | sender 4 | receiver 4 | ephemeral 32 | empty 16 | mac1 16 | mac2 16
 *	cookie       type 4 | receiver 4 | nonce 24 | cookie 16+16
 *	data         type 4 | receiver 4 | counter 8 | inner packet | tag 16
 *
 * Integers are little endian. These functions do the cryptography; when to send, and what follows, is wg.c's.
 */
#pragma once

#include "core/wg/wg.h"

#define MAC_LEN 16u
#define STAMP_LEN 12u /* TAI64N */

/* What a finished handshake leaves. */
struct wg_keys {
	u32 remote_index;
	u8 initiator_to_responder[32];
	u8 responder_to_initiator[32];
};

/* Key of MAC1 or of cookie replies for messages to the owner of `pub`. */
void wg_mac1_key(u8 out[static 32], const u8 pub[static 32]);
void wg_cookie_key(u8 out[static 32], const u8 pub[static 32]);

/* The next stamp of this process: `wall`, or just above the last one. */
void wg_next_stamp(struct wg_local *l, u64 wall, u8 out[static STAMP_LEN]);

/* Writes an initiation with our index and notes in `hs` what the response will need. ERR_INVAL: the peer's key is unusable. */
int wg_make_initiation(struct wg *w, u64 now, u64 wall, u32 index, struct wg_inflight *hs, u8 out[static WG_INITIATION_LEN]);
/* Decrypts the stamp and leaves the transcript ready for the response. ERR_AUTH. */
int wg_read_stamp(const struct wg *w, struct wg_initiation *init, u8 stamp[static STAMP_LEN]);
/* Writes the response to `init` with our index. */
int wg_make_response(struct wg *w, u64 now, u32 index, const struct wg_initiation *init, struct wg_keys *keys,
		     u8 out[static WG_RESPONSE_LEN]);
/* ERR_AUTH: not an answer to `hs`. */
int wg_read_response(const struct wg *w, const struct wg_inflight *hs, struct span datagram, struct wg_keys *keys);
/* Takes over the cookie. ERR_AUTH: not for our last handshake message. */
int wg_read_cookie(struct wg *w, u64 now, struct span datagram);
