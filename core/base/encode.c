#include "core/base/encode.h"

#include "core/base/err.h"

/* One alphabet of `bits` bits per character. Characters are found by arithmetic, not by table: no secret ever selects an address. */
struct alphabet {
	unsigned bits;
	unsigned group; /* padded text comes in groups of this many characters; 0 = no padding */
	u8 (*to_char)(u32 v);
	int (*to_value)(u8 c); /* -1: none of ours */
};

/* All ones when lo <= c <= hi, else 0. */
static inline u32 in_range(u32 c, u32 lo, u32 hi)
{
	return ((c - lo) >> 31 | (hi - c) >> 31) - 1u;
}

static u32 base64_char(u32 v, u8 c62, u8 c63)
{
	return (in_range(v, 0, 25) & (v + 'A')) | (in_range(v, 26, 51) & (v - 26 + 'a')) | (in_range(v, 52, 61) & (v - 52 + '0')) |
	       (in_range(v, 62, 62) & c62) | (in_range(v, 63, 63) & c63);
}

/* Values are carried one higher, so that zero can mean "not found". */
static int base64_value(u32 c, u8 c62, u8 c63)
{
	u32 v = (in_range(c, 'A', 'Z') & (c - 'A' + 1)) | (in_range(c, 'a', 'z') & (c - 'a' + 27)) |
		(in_range(c, '0', '9') & (c - '0' + 53)) | (in_range(c, c62, c62) & 63) | (in_range(c, c63, c63) & 64);
	return (int)v - 1;
}

static u8 std_char(u32 v)
{
	return (u8)base64_char(v, '+', '/');
}

static int std_value(u8 c)
{
	return base64_value(c, '+', '/');
}

static u8 url_char(u32 v)
{
	return (u8)base64_char(v, '-', '_');
}

static int url_value(u8 c)
{
	return base64_value(c, '-', '_');
}

static u8 base32_char(u32 v)
{
	return (u8)((in_range(v, 0, 25) & (v + 'a')) | (in_range(v, 26, 31) & (v - 26 + '2')));
}

static int base32_value(u8 c)
{
	return (int)((in_range(c, 'a', 'z') & (c - 'a' + 1u)) | (in_range(c, 'A', 'Z') & (c - 'A' + 1u)) |
		     (in_range(c, '2', '7') & (c - '2' + 27u))) - 1;
}

static u8 hex_char(u32 v)
{
	return (u8)((in_range(v, 0, 9) & (v + '0')) | (in_range(v, 10, 15) & (v - 10 + 'a')));
}

int hex_digit(u8 c)
{
	return (int)((in_range(c, '0', '9') & (c - '0' + 1u)) | (in_range(c, 'a', 'f') & (c - 'a' + 11u)) |
		     (in_range(c, 'A', 'F') & (c - 'A' + 11u))) - 1;
}

static const struct alphabet base64_std = { 6, 4, std_char, std_value };
static const struct alphabet base64_url = { 6, 0, url_char, url_value };
static const struct alphabet base32_lower = { 5, 0, base32_char, base32_value };
static const struct alphabet hex_lower = { 4, 0, hex_char, hex_digit };

static int encode(const struct alphabet *a, char *out, size_t cap, struct span in)
{
	if (cap > 0)
		out[0] = '\0';
	if (in.n > ENCODE_MAX)
		return ERR_LIMIT;
	size_t chars = (in.n * 8 + a->bits - 1) / a->bits;
	size_t total = a->group ? (chars + a->group - 1) / a->group * a->group : chars;
	if (total >= cap)
		return ERR_TRUNCATED;

	u32 acc = 0;
	unsigned held = 0;
	size_t at = 0;
	for (size_t i = 0; i < in.n; i++) {
		acc = acc << 8 | in.p[i];
		held += 8;
		while (held >= a->bits) {
			held -= a->bits;
			out[at++] = (char)a->to_char(acc >> held & ((1u << a->bits) - 1));
		}
	}
	if (held > 0)
		out[at++] = (char)a->to_char(acc << (a->bits - held) & ((1u << a->bits) - 1));
	while (at < total)
		out[at++] = '=';
	out[at] = '\0';
	return (int)at;
}

/* Removes the padding of a text that must have it. */
static int strip_padding(const struct alphabet *a, struct span *text)
{
	if (a->group == 0)
		return 0;
	if (text->n % a->group != 0)
		return ERR_MALFORMED;
	for (unsigned i = 0; i < 2 && text->n > 0 && text->p[text->n - 1] == '='; i++)
		text->n--;
	return 0;
}

static int decode(const struct alphabet *a, u8 *out, size_t cap, struct span text)
{
	if (text.n > ENCODE_MAX)
		return ERR_LIMIT;
	int rc = strip_padding(a, &text);
	if (rc < 0)
		return rc;
	size_t bytes = text.n * a->bits / 8;
	if ((bytes * 8 + a->bits - 1) / a->bits != text.n)
		return ERR_MALFORMED; /* no number of bytes has this many characters */
	if (bytes > cap)
		return ERR_TRUNCATED;

	u32 acc = 0;
	unsigned held = 0;
	size_t at = 0;
	int bad = 0;
	for (size_t i = 0; i < text.n; i++) {
		int v = a->to_value(text.p[i]);
		bad |= v;
		acc = acc << a->bits | (u32)(v & 0xff);
		held += a->bits;
		if (held >= 8) {
			held -= 8;
			out[at++] = (u8)(acc >> held);
		}
	}
	if (bad < 0 || (acc & ((1u << held) - 1)) != 0)
		return ERR_MALFORMED;
	return (int)at;
}

int base64_encode(char *out, size_t cap, struct span in)
{
	return encode(&base64_std, out, cap, in);
}

int base64_decode(u8 *out, size_t cap, struct span text)
{
	return decode(&base64_std, out, cap, text);
}

int base64url_encode(char *out, size_t cap, struct span in)
{
	return encode(&base64_url, out, cap, in);
}

int base64url_decode(u8 *out, size_t cap, struct span text)
{
	return decode(&base64_url, out, cap, text);
}

int base32_encode(char *out, size_t cap, struct span in)
{
	return encode(&base32_lower, out, cap, in);
}

int base32_decode(u8 *out, size_t cap, struct span text)
{
	return decode(&base32_lower, out, cap, text);
}

int hex_encode(char *out, size_t cap, struct span in)
{
	return encode(&hex_lower, out, cap, in);
}

int hex_decode(u8 *out, size_t cap, struct span text)
{
	return decode(&hex_lower, out, cap, text);
}
