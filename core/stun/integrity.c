/* MESSAGE-INTEGRITY and FINGERPRINT of STUN messages (RFC 8489 §14.5, §14.7). */
#include "core/stun/stun.h"

#include "core/base/err.h"
#include "core/crypto/hash.h"

#include "core/crypto/key.h"

#define ATTR_HEADER 4u
#define KEY_TEXT_MAX 2048u /* username, realm and password, each within its limit of RFC 8489 */
#define FINGERPRINT_XOR 0x5354554Eu

/* Both sums cover everything in front of their attribute, with a header length that ends right behind it. */
static void header_ending_at(const u8 *raw, size_t end, u8 out[static STUN_HEADER])
{
	memcpy(out, raw, STUN_HEADER);
	put_be16(out + 2, (u16)(end - STUN_HEADER));
}

static void integrity_of(const u8 *raw, size_t at, struct span key, u8 out[static STUN_INTEGRITY])
{
	u8 header[STUN_HEADER];
	struct span parts[2] = { SPAN(header, STUN_HEADER), SPAN(raw + STUN_HEADER, at - STUN_HEADER) };

	header_ending_at(raw, at + ATTR_HEADER + STUN_INTEGRITY, header);
	hmac_sha1_v(out, key, parts, 2);
}

int stun_check_integrity(const struct stun_msg *m, struct span key)
{
	u8 want[STUN_INTEGRITY];

	if (m->integrity == 0)
		return ERR_NOT_FOUND;
	if (get_be16(m->raw + m->integrity + 2) != STUN_INTEGRITY)
		return ERR_MALFORMED;
	integrity_of(m->raw, m->integrity, key, want);
	return secret_eq(want, m->raw + m->integrity + ATTR_HEADER, sizeof(want)) ? 0 : ERR_AUTH;
}

void stun_put_integrity(struct stun_builder *b, struct span key)
{
	size_t at = wr_len(&b->w);

	wr_be16(&b->w, ATTR_MESSAGE_INTEGRITY);
	wr_be16(&b->w, STUN_INTEGRITY);
	u8 *out = wr_reserve(&b->w, STUN_INTEGRITY);
	if (out)
		integrity_of(b->w.start, at, key, out);
}

/* CRC-32 of ISO-HDLC, four bits at a step: control messages are short and the table stays in one cache line. */
static u32 crc32_update(u32 crc, const u8 *p, size_t n)
{
	static const u32 nibble[16] = {
		0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
		0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
	};

	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		crc = crc >> 4 ^ nibble[crc & 15];
		crc = crc >> 4 ^ nibble[crc & 15];
	}
	return crc;
}

static u32 fingerprint_of(const u8 *raw, size_t at)
{
	u8 header[STUN_HEADER];

	header_ending_at(raw, at + ATTR_HEADER + 4, header);
	u32 crc = crc32_update(0xFFFFFFFFu, header, sizeof(header));
	crc = crc32_update(crc, raw + STUN_HEADER, at - STUN_HEADER);
	return crc ^ 0xFFFFFFFFu ^ FINGERPRINT_XOR;
}

int stun_check_fingerprint(const struct stun_msg *m)
{
	if (m->fingerprint == 0)
		return ERR_NOT_FOUND;
	if (get_be16(m->raw + m->fingerprint + 2) != 4 || m->fingerprint + ATTR_HEADER + 4u != m->len)
		return ERR_MALFORMED;
	return get_be32(m->raw + m->fingerprint + ATTR_HEADER) == fingerprint_of(m->raw, m->fingerprint) ? 0 : ERR_AUTH;
}

void stun_put_fingerprint(struct stun_builder *b)
{
	size_t at = wr_len(&b->w);

	wr_be16(&b->w, ATTR_FINGERPRINT);
	wr_be16(&b->w, 4);
	u8 *out = wr_reserve(&b->w, 4);
	if (out)
		put_be32(out, fingerprint_of(b->w.start, at));
}

void stun_long_term_key(struct span username, struct span realm, struct span password, u8 key[static STUN_KEY])
{
	u8 text[KEY_TEXT_MAX];
	struct wr w = wr_init(text, sizeof(text));

	wr_bytes(&w, username.p, username.n);
	wr_u8(&w, ':');
	wr_bytes(&w, realm.p, realm.n);
	wr_u8(&w, ':');
	wr_bytes(&w, password.p, password.n);
	md5(key, wr_span(&w));
	secret_wipe(text, sizeof(text));
}
