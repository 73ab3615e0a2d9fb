/* core/base/utf8.h: is this text UTF-8 (RFC 3629)? Shortest forms only, no surrogates, nothing above U+10FFFF.
 */
#pragma once

#include "core/base/types.h"

/* Length in bytes of the character at p[0..n), 0 when there is none: invalid, or cut short (`*is_cut`, may be NULL). */
size_t utf8_char(const u8 *p, size_t n, bool *is_cut);
bool utf8_is_valid(struct span text);
