/* core/stun/stun.h: STUN and TURN messages on the wire (RFC 8489, RFC 8656; spec 20 §5.7, spec 50 §2).
 *
 * Reading: stun_parse() checks the header and the chain of attributes once and remembers where MESSAGE-INTEGRITY and FINGERPRINT
 * are. The accessors then look attributes up by type: the first occurrence wins, attributes behind MESSAGE-INTEGRITY do not exist
 * (except FINGERPRINT), unknown types are simply never asked for. Nothing is copied: a struct stun_msg and all spans it yields
 * borrow the datagram. Padding may hold anything; integrity is computed over the bytes as received. Neither integrity nor
 * fingerprint is verified unless asked for: ICE and our relay never look at the fingerprint.
 *
 * Writing: stun_begin(), stun_put_*() in wire order, at last stun_put_integrity() and, where wanted, stun_put_fingerprint(), then
 * stun_end(). Overflow is sticky and reported by stun_end().
 */
#pragma once

#include "core/base/cursor.h"
#include "core/ip/addr.h"

#define STUN_HEADER 20u
#define STUN_COOKIE 0x2112A442u
#define STUN_TXID 12u
#define STUN_MAX_MESSAGE 1500u /* longer datagrams are no STUN message of ours */
#define STUN_ATTRS_MAX 64u     /* attributes in a message; more is malformed */
#define STUN_INTEGRITY 20u     /* bytes of an HMAC-SHA1 */
#define STUN_KEY 16u           /* bytes of a long-term key */
#define STUN_USERNAME_MAX 512u
#define STUN_TEXT_MAX 127u /* characters of REALM, NONCE, SOFTWARE */

enum stun_class {
	STUN_REQUEST = 0x000,
	STUN_INDICATION = 0x010,
	STUN_SUCCESS = 0x100,
	STUN_ERROR = 0x110,
};
#define STUN_CLASS_MASK 0x110u

enum stun_method {
	STUN_BINDING = 0x001,
	TURN_ALLOCATE = 0x003,
	TURN_REFRESH = 0x004,
	TURN_SEND = 0x006,
	TURN_DATA = 0x007,
	TURN_CREATE_PERMISSION = 0x008,
	TURN_CHANNEL_BIND = 0x009,
};

enum stun_attr {
	ATTR_MAPPED_ADDRESS = 0x0001,
	ATTR_USERNAME = 0x0006,
	ATTR_MESSAGE_INTEGRITY = 0x0008,
	ATTR_ERROR_CODE = 0x0009,
	ATTR_UNKNOWN_ATTRIBUTES = 0x000A,
	ATTR_CHANNEL_NUMBER = 0x000C,
	ATTR_LIFETIME = 0x000D,
	ATTR_XOR_PEER_ADDRESS = 0x0012,
	ATTR_DATA = 0x0013,
	ATTR_REALM = 0x0014,
	ATTR_NONCE = 0x0015,
	ATTR_XOR_RELAYED_ADDRESS = 0x0016,
	ATTR_REQUESTED_FAMILY = 0x0017,
	ATTR_EVEN_PORT = 0x0018,
	ATTR_REQUESTED_TRANSPORT = 0x0019,
	ATTR_DONT_FRAGMENT = 0x001A,
	ATTR_XOR_MAPPED_ADDRESS = 0x0020,
	ATTR_PRIORITY = 0x0024,
	ATTR_USE_CANDIDATE = 0x0025,
	ATTR_ADDITIONAL_FAMILY = 0x8000,
	ATTR_SOFTWARE = 0x8022,
	ATTR_FINGERPRINT = 0x8028,
	ATTR_ICE_CONTROLLED = 0x8029,
	ATTR_ICE_CONTROLLING = 0x802A,
};

enum stun_error_code {
	STUN_BAD_REQUEST = 400,
	STUN_UNAUTHORIZED = 401,
	STUN_FORBIDDEN = 403,
	STUN_UNKNOWN_ATTRIBUTE = 420,
	STUN_ALLOCATION_MISMATCH = 437,
	STUN_STALE_NONCE = 438,
	STUN_FAMILY_NOT_SUPPORTED = 440,
	STUN_WRONG_CREDENTIALS = 441,
	STUN_PEER_FAMILY_MISMATCH = 443,
	STUN_QUOTA_REACHED = 486,
	STUN_ROLE_CONFLICT = 487,
	STUN_SERVER_ERROR = 500,
	STUN_INSUFFICIENT_CAPACITY = 508,
};

#define STUN_FAMILY_4 1u
#define STUN_FAMILY_6 2u
#define STUN_TRANSPORT_UDP 17u

struct stun_msg {
	const u8 *raw; /* borrowed */
	u16 len;       /* whole message */
	u16 attrs_end; /* end of the attributes that count: MESSAGE-INTEGRITY included */
	u16 integrity; /* offset of MESSAGE-INTEGRITY, 0 absent */
	u16 fingerprint; /* offset of FINGERPRINT, 0 absent */
	enum stun_class class;
	u16 method; /* enum stun_method or an unknown one */
	u8 txid[STUN_TXID];
};

/* True when a datagram's first byte says STUN (0..3: methods below 0x100); cheap demultiplexing before stun_parse(). */
static inline bool stun_is_likely(struct span d)
{
	return d.n >= STUN_HEADER && d.p[0] < 4;
}

/* 0: header and attribute chain are sound. ERR_NOT_OURS: no STUN message at all (first bits, cookie, length field not a multiple
 * of four or not datagram - 20). ERR_MALFORMED: the header is sound and class, method and txid are set, but the attributes are not. */
int stun_parse(struct span datagram, struct stun_msg *m);

/* Walks over all attributes that count, in wire order. Begin with `it` zeroed; false at the end. */
struct stun_iter {
	u16 at;
	u16 type;
	struct span value;
};
bool stun_next(const struct stun_msg *m, struct stun_iter *it);

/* The accessors return 0, ERR_NOT_FOUND when the attribute is absent, ERR_MALFORMED when its length or value is not legal. */
int stun_get(const struct stun_msg *m, enum stun_attr type, struct span *value);
int stun_get_u32(const struct stun_msg *m, enum stun_attr type, u32 *value); /* LIFETIME, PRIORITY */
int stun_get_u64(const struct stun_msg *m, enum stun_attr type, u64 *value); /* ICE-CONTROLLED, ICE-CONTROLLING */
int stun_get_text(const struct stun_msg *m, enum stun_attr type, struct span *text); /* valid UTF-8 within its limit */
int stun_get_address(const struct stun_msg *m, enum stun_attr type, struct endpoint *addr); /* MAPPED- and all XOR- ones */
int stun_get_channel(const struct stun_msg *m, u16 *number); /* any number; the range is the caller's */
int stun_get_family(const struct stun_msg *m, enum stun_attr type, u8 *family); /* 4 or 6 */
int stun_get_transport(const struct stun_msg *m, u8 *protocol);
int stun_get_error(const struct stun_msg *m, u16 *code, struct span *reason);
bool stun_has(const struct stun_msg *m, enum stun_attr type);

/* Decodes one address value found with stun_next(). */
int stun_decode_address(const struct stun_msg *m, const struct stun_iter *it, struct endpoint *addr);

/* HMAC-SHA1 over the raw bytes with the adjusted length, compared in constant time. ERR_NOT_FOUND, ERR_MALFORMED, ERR_AUTH. */
int stun_check_integrity(const struct stun_msg *m, struct span key);
/* ERR_NOT_FOUND, ERR_MALFORMED (also when it is not the last attribute), ERR_AUTH when the CRC differs. */
int stun_check_fingerprint(const struct stun_msg *m);

/* MD5(username ":" realm ":" password), no SASLprep (spec 50 §2.5). */
void stun_long_term_key(struct span username, struct span realm, struct span password, u8 key[static STUN_KEY]);

struct stun_builder {
	struct wr w;
};

void stun_begin(struct stun_builder *b, void *buf, size_t cap, enum stun_class class, u16 method, const u8 txid[static STUN_TXID]);
void stun_put(struct stun_builder *b, enum stun_attr type, struct span value); /* USE-CANDIDATE: SPAN_NONE; texts */
void stun_put_u32(struct stun_builder *b, enum stun_attr type, u32 value);
void stun_put_u64(struct stun_builder *b, enum stun_attr type, u64 value);
void stun_put_xor_address(struct stun_builder *b, enum stun_attr type, const struct endpoint *addr);
void stun_put_channel(struct stun_builder *b, u16 number);
void stun_put_family(struct stun_builder *b, enum stun_attr type, u8 family); /* 4 or 6 */
void stun_put_transport(struct stun_builder *b, u8 protocol);
void stun_put_error(struct stun_builder *b, enum stun_error_code code); /* with the phrase of spec 50 §2.6 */
void stun_put_integrity(struct stun_builder *b, struct span key);
void stun_put_fingerprint(struct stun_builder *b);
/* Length of the finished message, or ERR_TRUNCATED when the buffer was too small. */
int stun_end(struct stun_builder *b);

const char *stun_error_phrase(enum stun_error_code code);
