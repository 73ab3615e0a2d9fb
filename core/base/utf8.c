#include "core/base/utf8.h"

size_t utf8_char(const u8 *p, size_t n, bool *is_cut)
{
	u8 low = 0x80, high = 0xbf; /* bounds of the second byte: they exclude long forms, surrogates and what is too large */
	size_t len;

	if (is_cut)
		*is_cut = n == 0;
	if (n == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		len = 2;
	} else if (p[0] >= 0xe0 && p[0] <= 0xef) {
		len = 3;
		low = p[0] == 0xe0 ? 0xa0 : 0x80;
		high = p[0] == 0xed ? 0x9f : 0xbf;
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		len = 4;
		low = p[0] == 0xf0 ? 0x90 : 0x80;
		high = p[0] == 0xf4 ? 0x8f : 0xbf;
	} else {
		return 0;
	}
	for (size_t i = 1; i < len; i++) {
		if (i == n) {
			if (is_cut)
				*is_cut = true;
			return 0;
		}
		if (p[i] < low || p[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return len;
}

bool utf8_is_valid(struct span text)
{
	size_t i = 0;

	while (i < text.n) {
		size_t len = utf8_char(text.p + i, text.n - i, NULL);
		if (len == 0)
			return false;
		i += len;
	}
	return true;
}
