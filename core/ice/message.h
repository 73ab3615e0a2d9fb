/* core/ice/message.h: connectivity checks on the wire (spec 20 §5.7).
 *
 * Reads a BINDING request or success far enough to know whose it is; integrity is the agent's to judge, because only it knows the
 * passwords. FINGERPRINT is written but never asked for.
 */
#pragma once

#include "core/stun/stun.h"

#define ICE_MESSAGE_MAX 288u /* longest check that we write: USERNAME of 127 characters and every attribute */

struct ice_credentials {
	char ufrag[64];
	char pwd[64];
};

struct ice_msg {
	struct stun_msg stun; /* borrows the datagram */
	bool is_request;
	/* request */
	struct span local_ufrag, remote_ufrag; /* seen from us, the receiver: USERNAME is local:remote */
	u32 priority;
	bool use_candidate;
	/* success */
	struct endpoint mapped;
};

/* 0; ERR_NOT_OURS: no STUN at all; ERR_MALFORMED: STUN, but not an acceptable BINDING request or success. */
int ice_msg_parse(struct span datagram, struct ice_msg *m);

struct ice_check {
	const u8 *txid; /* STUN_TXID bytes */
	const struct ice_credentials *local, *remote;
	u64 tie_breaker;
	u32 priority; /* of the local candidate, as peer-reflexive */
	bool is_controlling, use_candidate;
};

/* Length, or ERR_TRUNCATED. */
int ice_write_check(u8 buf[static ICE_MESSAGE_MAX], const struct ice_check *check);
int ice_write_answer(u8 buf[static ICE_MESSAGE_MAX], const u8 txid[static STUN_TXID], const struct endpoint *mapped,
		     const char *local_pwd);
