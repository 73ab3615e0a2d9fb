/* applets/portal/auth/cbor.h: CBOR (RFC 8949) as authenticators write it (CTAP 2.1 §8: canonical, at most CBOR_DEPTH_MAX levels).
 *
 * A cursor hands out one head after the other; strings come whole. Lengths are definite and heads are in their shortest form; indefinite lengths,
 * tags and floats are malformed, except that cbor_skip() steps over floats. Errors are the cursor's sticky one: ask rd_ok() or rd_done().
 *
 *	struct cbor v = cbor_next(&r);
 *	if (v.type == CBOR_MAP) for (u64 i = 0; i < v.value; i++) { key = cbor_next(&r); … cbor_skip(&r) … }
 *
 * A count is what the bytes claim; a loop over it ends with the first cbor_next() that finds nothing, so ask rd_ok() within.
 */
#pragma once

#include "core/base/cursor.h"

#define CBOR_DEPTH_MAX 8u

enum cbor_type {
	CBOR_UINT,     /* value */
	CBOR_NEGATIVE, /* -1 - value */
	CBOR_BYTES,    /* text */
	CBOR_TEXT,     /* text; not checked to be UTF-8 */
	CBOR_ARRAY,    /* value elements follow */
	CBOR_MAP,      /* value pairs follow */
	CBOR_SIMPLE,   /* 20 false, 21 true, 22 null */
	CBOR_NONE,     /* nothing could be read */
};

struct cbor {
	enum cbor_type type;
	u64 value;
	struct span text;
};

struct cbor cbor_next(struct rd *r);
/* One whole item, whatever is in it. */
void cbor_skip(struct rd *r);

/* The item is exactly this text, or this integer. */
bool cbor_is_text(const struct cbor *v, const char *text);
bool cbor_is_int(const struct cbor *v, i64 n);
