#include "applets/portal/model/idna.h"

#include "core/base/cursor.h"
#include "core/base/err.h"
#include "core/base/utf8.h"

#include <ctype.h>
#include <strings.h>

#define LABEL_MAX 63u
#define IGNORED 0u
#define REFUSED 1u /* a control character: what is refused anyway */

/* ---- what people type --------------------------------------------------------------------------------------------------------------------- */

/* Capitals from first to last become small ones: `step` 1: each is `add` below its small letter; 2: pairs, of which the capital comes first. */
static const struct {
	u16 first, last;
	u8 step, add;
} capitals[] = {
	{ 0x00c0, 0x00d6, 1, 32 }, { 0x00d8, 0x00de, 1, 32 }, { 0x0100, 0x012e, 2, 1 }, { 0x0132, 0x0136, 2, 1 }, { 0x0139, 0x0147, 2, 1 },
	{ 0x014a, 0x0176, 2, 1 },  { 0x0179, 0x017d, 2, 1 },  { 0x01cd, 0x01db, 2, 1 }, { 0x01de, 0x01ee, 2, 1 }, { 0x01f8, 0x021e, 2, 1 },
	{ 0x0222, 0x0232, 2, 1 },  { 0x0246, 0x024e, 2, 1 },  { 0x0388, 0x038a, 1, 37 }, { 0x038e, 0x038f, 1, 63 }, { 0x0391, 0x03a1, 1, 32 },
	{ 0x03a3, 0x03ab, 1, 32 }, { 0x0400, 0x040f, 1, 80 }, { 0x0410, 0x042f, 1, 32 }, { 0x0460, 0x0480, 2, 1 }, { 0x048a, 0x04be, 2, 1 },
	{ 0x04c1, 0x04cd, 2, 1 },  { 0x04d0, 0x052e, 2, 1 },  { 0x0531, 0x0556, 1, 48 }, { 0x1e00, 0x1e94, 2, 1 }, { 0x1ea0, 0x1efe, 2, 1 },
};

/* Not in names, or only by tables that are not here. */
static const struct {
	u32 first, last;
} refused[] = {
	{ 0x0080, 0x00b6 }, { 0x00b8, 0x00bf }, { 0x00d7, 0x00d7 }, { 0x00f7, 0x00f7 }, { 0x0130, 0x0130 }, { 0x0132, 0x0133 }, { 0x013f, 0x0140 },
	{ 0x0149, 0x0149 }, { 0x017f, 0x017f }, { 0x0181, 0x0182 }, { 0x0184, 0x0184 }, { 0x0186, 0x0187 }, { 0x0189, 0x018b }, { 0x018e, 0x0191 },
	{ 0x0193, 0x0194 }, { 0x0196, 0x0198 }, { 0x019c, 0x019d }, { 0x019f, 0x01a0 }, { 0x01a2, 0x01a2 }, { 0x01a4, 0x01a4 }, { 0x01a6, 0x01a7 },
	{ 0x01a9, 0x01a9 }, { 0x01ac, 0x01ac }, { 0x01ae, 0x01af }, { 0x01b1, 0x01b3 }, { 0x01b5, 0x01b5 }, { 0x01b7, 0x01b8 }, { 0x01bc, 0x01bc },
	{ 0x01c4, 0x01cc }, { 0x01f1, 0x01f4 }, { 0x01f6, 0x01f7 }, { 0x0220, 0x0220 }, { 0x023a, 0x023b }, { 0x023d, 0x023e }, { 0x0241, 0x0241 },
	{ 0x0243, 0x0245 }, { 0x02b0, 0x02b8 }, { 0x02c2, 0x02c5 }, { 0x02d2, 0x02eb }, { 0x02ed, 0x02ed }, { 0x02ef, 0x0374 }, { 0x0376, 0x0376 },
	{ 0x037a, 0x037a }, { 0x037e, 0x0387 }, { 0x03cf, 0x03d6 }, { 0x03d8, 0x03ef }, { 0x03f0, 0x03f2 }, { 0x03f4, 0x03fa }, { 0x03fd, 0x03ff },
	{ 0x0482, 0x0482 }, { 0x0488, 0x0489 }, { 0x0589, 0x058f }, { 0x05be, 0x05be },
	{ 0x05c0, 0x05c0 }, { 0x05c3, 0x05c3 }, { 0x05c6, 0x05c6 }, { 0x05f3, 0x060f }, { 0x061b, 0x061f }, { 0x066a, 0x066d }, { 0x0675, 0x0678 },
	{ 0x06d4, 0x06d4 }, { 0x0587, 0x0587 }, { 0x0958, 0x095f }, { 0x09dc, 0x09dd }, { 0x09df, 0x09df }, { 0x0a33, 0x0a36 }, { 0x0a59, 0x0a5e },
	{ 0x0b5c, 0x0b5d }, { 0x0edc, 0x0edd }, { 0x0f43, 0x0fbf }, { 0x10a0, 0x10cf }, { 0x10fb, 0x10ff }, { 0x13a0, 0x13ff }, { 0x1c80, 0x1cbf }, { 0x1d00, 0x1dff },
	{ 0x1e9a, 0x1e9f }, { 0x1f00, 0x2cff }, { 0x2d60, 0x2d7f }, { 0x2de0, 0x3004 }, { 0x3008, 0x3029 }, { 0x302e, 0x303b }, { 0x303d, 0x3040 },
	{ 0x309b, 0x309c }, { 0x309f, 0x30a0 }, { 0x30ff, 0x3104 }, { 0x3130, 0x319f }, { 0x31c0, 0x31ef }, { 0x3200, 0x33ff }, { 0x4dc0, 0x4dff },
	{ 0xa490, 0xa4cf }, { 0xa640, 0xa7ff }, { 0xab30, 0xabbf }, { 0xd7a4, 0xfe1f }, { 0xfe30, 0x10fff }, { 0x1d000, 0x1ffff }, { 0x2f800, 0x2fa1f },
	{ 0xe0000, 0x10ffff },
};

static u32 map(u32 cp)
{
	if (cp >= 0xff01 && cp <= 0xff5e)
		cp -= 0xfee0;
	if (cp < 0x80)
		return isalnum((int)cp) ? (u32)tolower((int)cp) : cp == '-' || cp == '.' ? cp : REFUSED;
	switch (cp) {
	case 0xad:   /* soft hyphen */
	case 0x200b: /* zero width space */
	case 0x2060: /* word joiner */
	case 0xfeff:
		return IGNORED;
	case 0x3002: /* full stops of East Asia */
	case 0xff61:
		return '.';
	case 0x0178:
		return 0xff;
	case 0x01a0:
	case 0x01af:
		return cp + 1;
	case 0x0386:
		return 0x3ac;
	case 0x038c:
		return 0x3cc;
	case 0x04c0:
		return 0x4cf;
	}
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		if (cp >= refused[i].first && cp <= refused[i].last)
			return REFUSED;
	for (size_t i = 0; i < ARRAY_LEN(capitals); i++)
		if (cp >= capitals[i].first && cp <= capitals[i].last && (cp - capitals[i].first) % capitals[i].step == 0)
			return cp + capitals[i].add;
	return cp;
}

/* ---- Punycode (RFC 3492) --------------------------------------------------------------------------------------------------------------------- */

enum { BASE = 36, TMIN = 1, TMAX = 26, SKEW = 38, DAMP = 700, BIAS_FIRST = 72, CODE_FIRST = 0x80 };

static u32 adapt(u32 delta, u32 points, bool is_first)
{
	u32 k = 0;

	delta = is_first ? delta / DAMP : delta / 2;
	delta += delta / points;
	for (; delta > (BASE - TMIN) * TMAX / 2; k += BASE)
		delta /= BASE - TMIN;
	return k + (BASE - TMIN + 1) * delta / (delta + SKEW);
}

static void put_delta(struct wr *out, u32 delta, u32 bias)
{
	u32 q = delta;

	for (u32 k = BASE;; k += BASE) {
		u32 t = k <= bias ? TMIN : k >= bias + TMAX ? TMAX : k - bias;
		u32 digit = q < t ? q : t + (q - t) % (BASE - t);

		wr_u8(out, (u8)(digit < 26 ? 'a' + digit : '0' + digit - 26));
		if (q < t)
			return;
		q = (q - t) / (BASE - t);
	}
}

/* A label has LABEL_MAX characters at most: nothing here can run over 32 bits. */
static void put_punycode(struct wr *out, const u32 *label, u32 n)
{
	u32 code = CODE_FIRST, delta = 0, bias = BIAS_FIRST, done = 0, basic;

	for (u32 i = 0; i < n; i++)
		if (label[i] < 0x80) {
			wr_u8(out, (u8)label[i]);
			done++;
		}
	basic = done;
	if (basic > 0)
		wr_u8(out, '-');
	for (; done < n; delta++, code++) {
		u32 next = UINT32_MAX;

		for (u32 i = 0; i < n; i++)
			if (label[i] >= code)
				next = MIN(next, label[i]);
		delta += (next - code) * (done + 1);
		code = next;
		for (u32 i = 0; i < n; i++) {
			delta += label[i] < code;
			if (label[i] != code)
				continue;
			put_delta(out, delta, bias);
			bias = adapt(delta, done + 1, done == basic);
			delta = 0;
			done++;
		}
	}
}

/* ---- names ------------------------------------------------------------------------------------------------------------------------------------- */

static bool put_label(struct wr *out, const u32 *label, u32 n)
{
	size_t start = wr_len(out);
	bool is_ascii = true;

	if (n == 0 || n > LABEL_MAX || label[0] == '-' || label[n - 1] == '-')
		return false;
	for (u32 i = 0; i < n; i++)
		is_ascii &= label[i] < 0x80;
	if (!is_ascii) {
		if (n > 3 && label[2] == '-' && label[3] == '-')
			return false;
		wr_str(out, "xn--");
		put_punycode(out, label, n);
	} else {
		for (u32 i = 0; i < n; i++)
			wr_u8(out, (u8)label[i]);
	}
	return wr_ok(out) && wr_len(out) - start <= LABEL_MAX;
}

int idna_to_ascii(struct span domain, char *out, size_t cap)
{
	struct wr w = wr_init(out, cap);
	u32 label[LABEL_MAX + 1], n = 0;

	for (size_t i = 0, len; i < domain.n; i += len) {
		len = utf8_char(domain.p + i, domain.n - i, NULL);
		if (len == 0)
			return ERR_INVAL;
		u32 cp = len == 1 ? domain.p[i] : domain.p[i] & (0x7fu >> len);
		for (size_t k = 1; k < len; k++)
			cp = cp << 6 | (domain.p[i + k] & 0x3f);
		cp = map(cp);
		if (cp == REFUSED || (cp != IGNORED && cp != '.' && n >= LABEL_MAX))
			return ERR_INVAL;
		if (cp == '.') {
			if (!put_label(&w, label, n))
				return ERR_INVAL;
			wr_u8(&w, '.');
			n = 0;
		} else if (cp == 0xe33 || cp == 0xeb3) { /* the vowel am of Thai and Lao is two */
			label[n++] = cp + 0x1a;
			label[n++] = cp - 1;
		} else if (cp != IGNORED) {
			label[n++] = cp;
		}
	}
	if (!put_label(&w, label, n))
		return ERR_INVAL;
	wr_u8(&w, 0);
	return wr_ok(&w) ? 0 : ERR_INVAL;
}

int email_normalise(const char *address, char out[static EMAIL_MAX + 1])
{
	const char *at = strchr(address, '@');
	size_t local = at ? (size_t)(at - address) : 0;

	out[0] = '\0';
	if (local == 0 || local > EMAIL_MAX - 4 || strchr(at + 1, '@'))
		return ERR_INVAL;
	for (size_t i = 0; i < local; i++)
		if (isspace((u8)address[i]) || iscntrl((u8)address[i]) || strchr(",;<>", address[i]))
			return ERR_INVAL;
	if (idna_to_ascii(SPAN(at + 1, strlen(at + 1)), out + local + 1, EMAIL_MAX - local) || !strchr(out + local + 1, '.')) {
		out[0] = '\0';
		return ERR_INVAL;
	}
	memcpy(out, address, local + 1);
	return 0;
}

bool email_means(const char *given, const char *known)
{
	char normal[EMAIL_MAX + 1];

	if (tolower((u8)given[0]) != tolower((u8)known[0])) /* nearly all: what stands before the @ stays as it is */
		return false;
	return strcasecmp(given, known) == 0 || (strncasecmp(given, known, strcspn(given, "@") + 1) == 0 && email_normalise(given, normal) == 0 && strcasecmp(normal, known) == 0);
}
