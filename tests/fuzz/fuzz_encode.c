/* Text to bytes: whatever is accepted must be the one text of its bytes. */
#include "core/base/encode.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void check(int (*decode)(u8 *, size_t, struct span), int (*encode)(char *, size_t, struct span), struct span text, bool is_folded)
{
	static u8 bytes[4096];
	static char again[HEX_SIZE(sizeof(bytes))];
	int n = decode(bytes, sizeof(bytes), text);
	if (n < 0)
		return;
	if (encode(again, sizeof(again), SPAN(bytes, n)) != (int)text.n)
		abort();
	for (size_t i = 0; i < text.n; i++) {
		char c = (char)text.p[i];
		if (is_folded && c >= 'A' && c <= 'Z')
			c = (char)(c + 'a' - 'A');
		if (again[i] != c)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = SPAN(data, size);
	check(base64_decode, base64_encode, text, false);
	check(base64url_decode, base64url_encode, text, false);
	check(base32_decode, base32_encode, text, true);
	check(hex_decode, hex_encode, text, true);
	return 0;
}
