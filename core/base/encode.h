/* core/base/encode.h: bytes as text (RFC 4648): base64, base64url, base32, hex.
 *
 * Encoders write a NUL behind the text and return its length without it; ERR_TRUNCATED when `cap` is too small (then out[0] is NUL if
 * cap > 0). Decoders take exactly one canonical text: no white space, no characters behind the padding, spare bits zero; they return
 * the number of bytes, ERR_MALFORMED, or ERR_TRUNCATED when `cap` is too small. Input longer than ENCODE_MAX is ERR_LIMIT.
 * Run time depends on lengths only for base64 and hex of valid text, so keys may pass through them.
 */
#pragma once

#include "core/base/types.h"

#define ENCODE_MAX ((size_t)1 << 28) /* bytes of one input; keeps every length inside an int */

/* Buffer sizes for n bytes, NUL included; constant expressions. */
#define BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1)
#define BASE64URL_SIZE(n) (((n)*4 + 2) / 3 + 1)
#define BASE32_SIZE(n) (((n)*8 + 4) / 5 + 1)
#define HEX_SIZE(n) ((n)*2 + 1)

/* '+' '/', always padded. */
int base64_encode(char *out, size_t cap, struct span in);
int base64_decode(u8 *out, size_t cap, struct span text) MUST_CHECK;

/* '-' '_', never padded. */
int base64url_encode(char *out, size_t cap, struct span in);
int base64url_decode(u8 *out, size_t cap, struct span text) MUST_CHECK;

/* Lower case, never padded (ICE credentials, spec 20 §5.1). Decoding takes either case (TOTP secrets). */
int base32_encode(char *out, size_t cap, struct span in);
int base32_decode(u8 *out, size_t cap, struct span text) MUST_CHECK;

/* 0 to 15 for a hex digit of either case, else -1; without branches. */
int hex_digit(u8 c);
/* Lower case; decoding takes either case. */
int hex_encode(char *out, size_t cap, struct span in);
int hex_decode(u8 *out, size_t cap, struct span text) MUST_CHECK;
