/* Reading of STUN messages; see stun.h. */
#include "core/stun/stun.h"

#include "core/base/err.h"

#define ATTR_HEADER 4u

static size_t padded(size_t n)
{
	return (n + 3u) & ~(size_t)3u;
}

/* Checks the chain of attributes and notes where the two special ones are. */
static int scan_attributes(struct stun_msg *m)
{
	size_t at = STUN_HEADER;
	unsigned count = 0;

	while (at < m->len) {
		if (++count > STUN_ATTRS_MAX)
			return ERR_MALFORMED;
		u16 type = get_be16(m->raw + at); /* at and len are multiples of 4, so a header always fits */
		size_t size = ATTR_HEADER + padded(get_be16(m->raw + at + 2));
		if (size > (size_t)m->len - at)
			return ERR_MALFORMED;
		if (type == ATTR_FINGERPRINT && m->fingerprint == 0)
			m->fingerprint = (u16)at;
		if (type == ATTR_MESSAGE_INTEGRITY && m->integrity == 0 && m->fingerprint == 0) {
			m->integrity = (u16)at;
			m->attrs_end = (u16)(at + size);
		}
		at += size;
	}
	if (m->integrity == 0)
		m->attrs_end = m->fingerprint != 0 ? m->fingerprint : m->len;
	return 0;
}

int stun_parse(struct span d, struct stun_msg *m)
{
	if (!stun_is_likely(d) || d.n > STUN_MAX_MESSAGE)
		return ERR_NOT_OURS;
	struct rd r = rd_span(d);
	u16 type = rd_be16(&r);
	u16 length = rd_be16(&r);
	u32 cookie = rd_be32(&r);
	if (cookie != STUN_COOKIE || length % 4 != 0 || (size_t)length + STUN_HEADER != d.n)
		return ERR_NOT_OURS;
	*m = (struct stun_msg){
		.raw = d.p,
		.len = (u16)d.n,
		.class = (enum stun_class)(type & STUN_CLASS_MASK),
		.method = (u16)((type & 0x000F) | (type & 0x00E0) >> 1 | (type & 0x3E00) >> 2),
	};
	rd_copy(&r, m->txid, STUN_TXID);
	return scan_attributes(m);
}

bool stun_next(const struct stun_msg *m, struct stun_iter *it)
{
	size_t at = it->at == 0 ? STUN_HEADER : it->at;

	if (at >= m->attrs_end)
		return false;
	struct rd r = rd_init(m->raw + at, m->attrs_end - at);
	it->type = rd_be16(&r);
	u16 n = rd_be16(&r);
	it->value = rd_bytes(&r, n);
	it->at = (u16)(at + ATTR_HEADER + padded(n));
	return rd_ok(&r);
}

int stun_get(const struct stun_msg *m, enum stun_attr type, struct span *value)
{
	struct stun_iter it = { 0 };

	while (stun_next(m, &it)) {
		if (it.type == type) {
			*value = it.value;
			return 0;
		}
	}
	return ERR_NOT_FOUND;
}

bool stun_has(const struct stun_msg *m, enum stun_attr type)
{
	struct span v;
	return stun_get(m, type, &v) == 0;
}

int stun_get_u32(const struct stun_msg *m, enum stun_attr type, u32 *value)
{
	struct span v;
	int rc = stun_get(m, type, &v);
	if (rc == 0 && v.n != 4)
		rc = ERR_MALFORMED;
	if (rc == 0)
		*value = get_be32(v.p);
	return rc;
}

int stun_get_u64(const struct stun_msg *m, enum stun_attr type, u64 *value)
{
	struct span v;
	int rc = stun_get(m, type, &v);
	if (rc == 0 && v.n != 8)
		rc = ERR_MALFORMED;
	if (rc == 0)
		*value = get_be64(v.p);
	return rc;
}

/* Number of characters, or SIZE_MAX when the bytes are no UTF-8 (RFC 3629: no surrogates, no overlong forms). */
static size_t utf8_length(struct span s)
{
	size_t chars = 0;

	for (size_t i = 0; i < s.n; chars++) {
		u8 c = s.p[i++];
		if (c < 0x80)
			continue;
		unsigned more = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
		if (c < 0xC2 || c > 0xF4 || s.n - i < more)
			return SIZE_MAX;
		u32 cp = c & (0x3Fu >> more);
		for (unsigned k = 0; k < more; k++, i++) {
			if ((s.p[i] & 0xC0) != 0x80)
				return SIZE_MAX;
			cp = cp << 6 | (s.p[i] & 0x3Fu);
		}
		if ((more == 2 && (cp < 0x800 || (cp >= 0xD800 && cp < 0xE000))) ||
		    (more == 3 && (cp < 0x10000 || cp > 0x10FFFF)))
			return SIZE_MAX;
	}
	return chars;
}

int stun_get_text(const struct stun_msg *m, enum stun_attr type, struct span *text)
{
	struct span v;
	int rc = stun_get(m, type, &v);
	if (rc != 0)
		return rc;
	size_t chars = utf8_length(v);
	if (chars == SIZE_MAX || (type == ATTR_USERNAME ? v.n > STUN_USERNAME_MAX : chars > STUN_TEXT_MAX))
		return ERR_MALFORMED;
	*text = v;
	return 0;
}

int stun_decode_address(const struct stun_msg *m, const struct stun_iter *it, struct endpoint *addr)
{
	u8 mask[16];
	struct rd r = rd_span(it->value);
	bool is_xor = it->type != ATTR_MAPPED_ADDRESS;

	put_be32(mask, STUN_COOKIE);
	memcpy(mask + 4, m->txid, STUN_TXID);
	rd_skip(&r, 1);
	u8 family = rd_u8(&r);
	u16 port = rd_be16(&r);
	struct endpoint e = { .port = is_xor ? (u16)(port ^ (STUN_COOKIE >> 16)) : port };
	if (family != STUN_FAMILY_4 && family != STUN_FAMILY_6)
		return ERR_MALFORMED;
	e.ip.family = family == STUN_FAMILY_4 ? 4 : 6;
	size_t n = ip_len(&e.ip);
	rd_copy(&r, e.ip.b, n);
	if (!rd_done(&r))
		return ERR_MALFORMED;
	for (size_t i = 0; is_xor && i < n; i++)
		e.ip.b[i] ^= mask[i];
	*addr = e;
	return 0;
}

int stun_get_address(const struct stun_msg *m, enum stun_attr type, struct endpoint *addr)
{
	struct stun_iter it = { 0 };

	while (stun_next(m, &it))
		if (it.type == type)
			return stun_decode_address(m, &it, addr);
	return ERR_NOT_FOUND;
}

int stun_get_channel(const struct stun_msg *m, u16 *number)
{
	u32 v;
	int rc = stun_get_u32(m, ATTR_CHANNEL_NUMBER, &v);
	if (rc == 0)
		*number = (u16)(v >> 16);
	return rc;
}

int stun_get_family(const struct stun_msg *m, enum stun_attr type, u8 *family)
{
	u32 v;
	int rc = stun_get_u32(m, type, &v);
	if (rc == 0 && v >> 24 != STUN_FAMILY_4 && v >> 24 != STUN_FAMILY_6)
		rc = ERR_MALFORMED;
	if (rc == 0)
		*family = v >> 24 == STUN_FAMILY_4 ? 4 : 6;
	return rc;
}

int stun_get_transport(const struct stun_msg *m, u8 *protocol)
{
	u32 v;
	int rc = stun_get_u32(m, ATTR_REQUESTED_TRANSPORT, &v);
	if (rc == 0)
		*protocol = (u8)(v >> 24);
	return rc;
}

int stun_get_error(const struct stun_msg *m, u16 *code, struct span *reason)
{
	struct span v;
	int rc = stun_get(m, ATTR_ERROR_CODE, &v);
	if (rc != 0)
		return rc;
	struct rd r = rd_span(v);
	rd_skip(&r, 2);
	unsigned hundreds = rd_u8(&r) & 7u;
	unsigned rest = rd_u8(&r);
	struct span text = rd_bytes(&r, rd_left(&r));
	if (!rd_ok(&r) || hundreds < 3 || hundreds > 6 || rest > 99)
		return ERR_MALFORMED;
	*code = (u16)(hundreds * 100 + rest);
	if (reason)
		*reason = text;
	return 0;
}
