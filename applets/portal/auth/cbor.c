#include "applets/portal/auth/cbor.h"

#define MAJOR_TAG 6u
#define MAJOR_SIMPLE 7u

static struct cbor failed(struct rd *r)
{
	r->failed = true;
	r->p = r->end;
	return (struct cbor){ .type = CBOR_NONE };
}

static u64 argument(struct rd *r, u8 info)
{
	switch (info) {
	case 24:
		return rd_u8(r);
	case 25:
		return rd_be16(r);
	case 26:
		return rd_be32(r);
	default:
		return rd_be64(r);
	}
}

/* Would fewer bytes have said it? */
static bool is_longer_than_needed(u8 info, u64 v)
{
	static const u64 least[] = { 24, 1u << 8, 1u << 16, 1ull << 32 };

	return v < least[info - 24];
}

static struct cbor head(struct rd *r, bool are_floats_allowed)
{
	u8 first = rd_u8(r), info = first & 0x1f, major = first >> 5;
	struct cbor v = { .value = info };

	if (!rd_ok(r) || info > 27 || major == MAJOR_TAG)
		return failed(r);
	if (info >= 24) {
		v.value = argument(r, info);
		if (!rd_ok(r) || (major != MAJOR_SIMPLE && is_longer_than_needed(info, v.value)))
			return failed(r);
	}
	switch (major) {
	case 0:
		v.type = CBOR_UINT;
		break;
	case 1:
		v.type = CBOR_NEGATIVE;
		break;
	case 2:
	case 3:
		v.type = major == 2 ? CBOR_BYTES : CBOR_TEXT;
		if (v.value > rd_left(r))
			return failed(r);
		v.text = rd_bytes(r, (size_t)v.value);
		break;
	case 4:
	case 5:
		v.type = major == 4 ? CBOR_ARRAY : CBOR_MAP;
		/* each element takes a byte at least */
		if (v.value > rd_left(r) / (major == 4 ? 1 : 2))
			return failed(r);
		break;
	default:
		v.type = CBOR_SIMPLE;
		if (info >= 24 && !are_floats_allowed)
			return failed(r);
	}
	return rd_ok(r) ? v : failed(r);
}

struct cbor cbor_next(struct rd *r)
{
	return head(r, false);
}

void cbor_skip(struct rd *r)
{
	u64 left[CBOR_DEPTH_MAX] = { 1 }; /* items still to come on each level */
	u32 depth = 0;

	while (rd_ok(r)) {
		while (left[depth] == 0) {
			if (depth == 0)
				return;
			depth--;
		}
		left[depth]--;
		struct cbor v = head(r, true);
		if (v.type == CBOR_ARRAY || v.type == CBOR_MAP) {
			if (++depth == CBOR_DEPTH_MAX) {
				(void)failed(r);
				return;
			}
			left[depth] = v.type == CBOR_MAP ? 2 * v.value : v.value;
		}
	}
}

bool cbor_is_text(const struct cbor *v, const char *text)
{
	size_t n = strlen(text);

	return v->type == CBOR_TEXT && v->text.n == n && memcmp(v->text.p, text, n) == 0;
}

bool cbor_is_int(const struct cbor *v, i64 n)
{
	return n >= 0 ? v->type == CBOR_UINT && v->value == (u64)n : v->type == CBOR_NEGATIVE && v->value == (u64)(-1 - n);
}
