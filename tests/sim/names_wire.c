#include "tests/sim/names.h"

#include <string.h>

static u32 put_name(u8 *out, const char *text)
{
	u32 n = 0;

	while (*text) {
		size_t label = strcspn(text, ".");
		out[n++] = (u8)label;
		memcpy(out + n, text, label);
		n += (u32)label;
		text += label + (text[label] == '.');
	}
	out[n++] = 0;
	return n;
}

/* Follows pointers; `*at` moves behind the name. False: not within n octets. */
static bool get_name(const u8 *p, size_t n, u32 *at, char *out)
{
	u32 i = *at, len = 0;
	bool has_jumped = false;

	for (unsigned jumps = 0; jumps < 32;) {
		if (i >= n)
			return false;
		if (p[i] == 0) {
			if (!has_jumped)
				*at = i + 1;
			out[len > 0 ? len - 1 : 0] = 0;
			return true;
		}
		if (p[i] >= 0xc0) {
			if (i + 1 >= n)
				return false;
			if (!has_jumped)
				*at = i + 2;
			has_jumped = true;
			jumps++;
			i = (u32)(p[i] & 0x3f) << 8 | p[i + 1];
			continue;
		}
		if (i + 1 + p[i] > n || len + p[i] + 1u > 255)
			return false;
		memcpy(out + len, p + i + 1, p[i]);
		len += p[i];
		out[len++] = '.';
		i += 1u + p[i];
	}
	return false;
}

u32 wire_query(u8 *out, u16 id, const char *name, u16 type, bool has_edns)
{
	static const u8 opt[] = { 0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0 }; /* 1232 octets */
	static const u8 rest[] = { 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0 };
	u32 n = 12;

	put_be16(out, id);
	memcpy(out + 2, rest, sizeof(rest));
	out[11] = has_edns;
	n += put_name(out + n, name);
	put_be16(out + n, type);
	put_be16(out + n + 2, 1);
	n += 4;
	if (has_edns) {
		memcpy(out + n, opt, sizeof(opt));
		n += (u32)sizeof(opt);
	}
	return n;
}

bool wire_read_query(const u8 *p, size_t n, struct wire_question *out)
{
	u32 at = 12;

	if (n < 12 || get_be16(p + 4) != 1 || (p[2] & 0x80) || !get_name(p, n, &at, out->name) || at + 4 > n)
		return false;
	out->id = get_be16(p);
	out->flags = get_be16(p + 2);
	out->type = get_be16(p + at);
	out->end = at + 4;
	out->has_edns = get_be16(p + 10) > 0;
	return true;
}

u32 wire_reply(u8 *out, const u8 *query, const struct wire_question *q, u16 flags)
{
	memcpy(out, query, q->end);
	put_be16(out + 2, (u16)(0x8080 | (q->flags & 0x0100) | flags));
	memset(out + 6, 0, 6);
	return q->end;
}

u32 wire_add(u8 *out, u32 len, u16 type, u32 ttl, const void *data, u16 n)
{
	put_be16(out + 6, (u16)(get_be16(out + 6) + 1));
	put_be16(out + len, 0xc00c);
	put_be16(out + len + 2, type);
	put_be16(out + len + 4, 1);
	put_be32(out + len + 6, ttl);
	put_be16(out + len + 10, n);
	memcpy(out + len + 12, data, n);
	return len + 12 + n;
}

static void take_data(const u8 *p, size_t n, u32 at, u16 type, u16 len, struct wire_answer *out)
{
	if (((type == TYPE_A && len == 4) || (type == TYPE_AAAA && len == 16)) && out->n_ips < ARRAY_LEN(out->ips)) {
		out->ips[out->n_ips++] = ip_from_bytes(type == TYPE_A ? 4 : 6, p + at);
	} else if (type == TYPE_PTR) {
		(void)get_name(p, n, &at, out->target);
	} else if (type == TYPE_TXT && out->text_len == 0) {
		out->text_len = len;
		for (u32 i = 0; i < len; i++)
			out->text_sum += p[at + i];
	}
}

bool wire_read_answer(const u8 *p, size_t n, struct wire_answer *out)
{
	u32 at = 12;
	char owner[256];

	*out = (struct wire_answer){ .ttl = UINT32_MAX };
	if (n < 12 || get_be16(p + 4) != 1 || !(p[2] & 0x80) || !get_name(p, n, &at, out->name) || at + 4 > n)
		return false;
	out->id = get_be16(p);
	out->flags = get_be16(p + 2);
	out->type = get_be16(p + at);
	out->n_records = get_be16(p + 6);
	at += 4;
	u32 records = (u32)out->n_records + get_be16(p + 8) + get_be16(p + 10);
	for (u32 i = 0; i < records; i++) {
		if (!get_name(p, n, &at, owner) || at + 10 > n)
			return false;
		u16 len = get_be16(p + at + 8);
		if (at + 10u + len > n)
			return false;
		if (i < out->n_records) {
			out->ttl = MIN(out->ttl, get_be32(p + at + 4));
			take_data(p, n, at + 10, get_be16(p + at), len, out);
		}
		at += 10u + len;
	}
	return at == n;
}
