/* Writing of STUN messages; see stun.h. */
#include "core/stun/stun.h"

#include "core/base/err.h"

void stun_begin(struct stun_builder *b, void *buf, size_t cap, enum stun_class class, u16 method, const u8 txid[static STUN_TXID])
{
	b->w = wr_init(buf, MIN(cap, (size_t)STUN_MAX_MESSAGE));
	wr_be16(&b->w, (u16)((unsigned)class | (method & 0x000Fu) | (method & 0x0070u) << 1 | (method & 0x0F80u) << 2));
	wr_be16(&b->w, 0);
	wr_be32(&b->w, STUN_COOKIE);
	wr_bytes(&b->w, txid, STUN_TXID);
}

static void put_header(struct stun_builder *b, enum stun_attr type, size_t n)
{
	wr_be16(&b->w, (u16)type);
	wr_be16(&b->w, (u16)n);
}

void stun_put(struct stun_builder *b, enum stun_attr type, struct span value)
{
	if (value.n > STUN_MAX_MESSAGE) {
		b->w.failed = true;
		return;
	}
	put_header(b, type, value.n);
	wr_bytes(&b->w, value.p, value.n);
	wr_zero(&b->w, (0u - value.n) & 3u);
}

void stun_put_u32(struct stun_builder *b, enum stun_attr type, u32 value)
{
	put_header(b, type, 4);
	wr_be32(&b->w, value);
}

void stun_put_u64(struct stun_builder *b, enum stun_attr type, u64 value)
{
	put_header(b, type, 8);
	wr_be64(&b->w, value);
}

void stun_put_xor_address(struct stun_builder *b, enum stun_attr type, const struct endpoint *addr)
{
	size_t n = ip_len(&addr->ip);

	put_header(b, type, 4 + n);
	wr_u8(&b->w, 0);
	wr_u8(&b->w, addr->ip.family == 4 ? STUN_FAMILY_4 : STUN_FAMILY_6);
	wr_be16(&b->w, (u16)(addr->port ^ (STUN_COOKIE >> 16)));
	u8 *out = wr_reserve(&b->w, n);
	if (!out)
		return;
	const u8 *mask = b->w.start + 4; /* cookie and transaction id, as they stand in the header */
	for (size_t i = 0; i < n; i++)
		out[i] = addr->ip.b[i] ^ mask[i];
}

void stun_put_channel(struct stun_builder *b, u16 number)
{
	stun_put_u32(b, ATTR_CHANNEL_NUMBER, (u32)number << 16);
}

void stun_put_family(struct stun_builder *b, enum stun_attr type, u8 family)
{
	stun_put_u32(b, type, (family == 4 ? STUN_FAMILY_4 : STUN_FAMILY_6) << 24);
}

void stun_put_transport(struct stun_builder *b, u8 protocol)
{
	stun_put_u32(b, ATTR_REQUESTED_TRANSPORT, (u32)protocol << 24);
}

const char *stun_error_phrase(enum stun_error_code code)
{
	switch (code) {
	case STUN_BAD_REQUEST: return "Bad Request";
	case STUN_UNAUTHORIZED: return "Unauthorized";
	case STUN_FORBIDDEN: return "Forbidden";
	case STUN_UNKNOWN_ATTRIBUTE: return "Unknown Attribute";
	case STUN_ALLOCATION_MISMATCH: return "Allocation Mismatch";
	case STUN_STALE_NONCE: return "Stale Nonce";
	case STUN_FAMILY_NOT_SUPPORTED: return "Address Family not Supported";
	case STUN_WRONG_CREDENTIALS: return "Wrong Credentials";
	case STUN_PEER_FAMILY_MISMATCH: return "Peer Address Family Mismatch";
	case STUN_QUOTA_REACHED: return "Allocation Quota Reached";
	case STUN_ROLE_CONFLICT: return "Role Conflict";
	case STUN_SERVER_ERROR: return "Server Error";
	case STUN_INSUFFICIENT_CAPACITY: return "Insufficient Capacity";
	}
	return "Error";
}

void stun_put_error(struct stun_builder *b, enum stun_error_code code)
{
	u8 value[64];
	struct wr w = wr_init(value, sizeof(value));

	wr_be16(&w, 0);
	wr_u8(&w, (u8)(code / 100));
	wr_u8(&w, (u8)(code % 100));
	wr_str(&w, stun_error_phrase(code));
	stun_put(b, ATTR_ERROR_CODE, wr_span(&w));
}

int stun_end(struct stun_builder *b)
{
	if (!wr_ok(&b->w))
		return ERR_TRUNCATED;
	size_t n = wr_len(&b->w);
	put_be16(b->w.start + 2, (u16)(n - STUN_HEADER));
	return (int)n;
}
