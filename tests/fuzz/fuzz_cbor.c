/* CBOR: a walk over heads and a walk by skipping find the same end. */
#include "applets/portal/auth/cbor.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct rd r = rd_init(data, n), s = r;

	cbor_skip(&s);
	u64 left = 1;
	while (rd_ok(&r) && left > 0) {
		struct cbor v = cbor_next(&r);
		left--;
		if (v.type == CBOR_ARRAY || v.type == CBOR_MAP)
			left += v.type == CBOR_MAP ? 2 * v.value : v.value;
		if ((v.type == CBOR_BYTES || v.type == CBOR_TEXT) && v.text.n != v.value)
			abort();
	}
	if (rd_ok(&r) && rd_ok(&s) && r.p != s.p)
		abort();
	return 0;
}
