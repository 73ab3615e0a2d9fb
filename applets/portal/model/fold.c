#include "applets/portal/model/fold.h"

#include "core/base/utf8.h"

#include <string.h>

static const char latin[] = /* U+00C0 to U+024F; . = itself, ? = several letters, below */
	"aaaaaa?ceeeeiiiidnooooo.ouuuuy?\?aaaaaa?ceeeeiiiidnooooo.ouuuuy?yaaaaaaccccccccddddeeeeeeeeeegggg"
	"gggghhhhiiiiiiiiii?\?jjkkkllllllllllnnnnnnnnnoooooo?\?rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs"
	"bbbb...ccdddd....ffg.?.ikkl..nn.oo?\?pp.....ttttuu.vyyzz.............?\??\??\??\??aaiioouuuuuuuuuu.aa"
	"aa?\?ggggkkoooo..j?\??gg?.nnaa?\?ooaaaaeeeeiiiioooorrrruuuusstt..hhnd?\?zzaaeeooooooooyylntj?\?acclts"
	"z..b..eejjqqrryy";

static const char latin_more[] = /* U+1E00 to U+1EFF, the same */
	"aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmmmmmmnnnnnnnnoooooooopppprrrrrrrr"
	"ssssssssssttttttttuuuuuuuuuuvvvvwwwwwwwwwwxxxxyyzzzzzzhtwyas..?.aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeee"
	"eeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy?\?..yy";

static const struct {
	u16 cp;
	char text[3];
} several[] = {
	{ 0x00c6, "ae" }, { 0x00de, "th" }, { 0x00df, "ss" }, { 0x00e6, "ae" }, { 0x00fe, "th" }, { 0x0132, "ij" },
	{ 0x0133, "ij" }, { 0x0152, "oe" }, { 0x0153, "oe" }, { 0x0195, "hv" }, { 0x01a2, "oi" }, { 0x01a3, "oi" },
	{ 0x01c4, "dz" }, { 0x01c5, "dz" }, { 0x01c6, "dz" }, { 0x01c7, "lj" }, { 0x01c8, "lj" }, { 0x01c9, "lj" },
	{ 0x01ca, "nj" }, { 0x01cb, "nj" }, { 0x01cc, "nj" }, { 0x01e2, "ae" }, { 0x01e3, "ae" }, { 0x01f1, "dz" },
	{ 0x01f2, "dz" }, { 0x01f3, "dz" }, { 0x01f6, "hv" }, { 0x01fc, "ae" }, { 0x01fd, "ae" }, { 0x0222, "ou" },
	{ 0x0223, "ou" }, { 0x0238, "db" }, { 0x0239, "qp" }, { 0x1e9e, "ss" }, { 0x1efa, "ll" }, { 0x1efb, "ll" },
};

static const u8 greek[] = { /* U+0370 to U+03FF, less 0x370 */
	1, 1, 3, 3, 4, 5, 7, 7, 8, 9, 10, 11, 12, 13, 14, 131, 16, 17, 18, 19, 20, 21, 65, 23, 69, 71, 73, 27, 79,
	29, 85, 89, 73, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 50, 83, 84, 85, 86, 87,
	88, 89, 73, 85, 65, 69, 71, 73, 85, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 83,
	83, 84, 85, 86, 87, 88, 89, 73, 85, 79, 85, 89, 103, 96, 97, 98, 98, 98, 101, 102, 103, 105, 105, 107, 107,
	109, 109, 111, 111, 113, 113, 115, 115, 117, 117, 119, 119, 121, 121, 123, 123, 125, 125, 127, 127, 128, 129,
	130, 131, 72, 133, 134, 136, 136, 130, 139, 139, 140, 11, 12, 13,
};

static const u8 greek_more[] = { /* U+1F00 to U+1FFF, less 0x370; 0 = itself */
	65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 69, 69, 69, 69, 69, 69, 0, 0, 69, 69, 69, 69,
	69, 69, 0, 0, 71, 71, 71, 71, 71, 71, 71, 71, 71, 71, 71, 71, 71, 71, 71, 71, 73, 73, 73, 73, 73, 73, 73, 73,
	73, 73, 73, 73, 73, 73, 73, 73, 79, 79, 79, 79, 79, 79, 0, 0, 79, 79, 79, 79, 79, 79, 0, 0, 85, 85, 85, 85,
	85, 85, 85, 85, 0, 85, 0, 85, 0, 85, 0, 85, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89,
	65, 65, 69, 69, 71, 71, 73, 73, 79, 79, 85, 85, 89, 89, 0, 0, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65,
	65, 65, 65, 65, 71, 71, 71, 71, 71, 71, 71, 71, 71, 71, 71, 71, 71, 71, 71, 71, 89, 89, 89, 89, 89, 89, 89,
	89, 89, 89, 89, 89, 89, 89, 89, 89, 65, 65, 65, 65, 65, 0, 65, 65, 65, 65, 65, 65, 65, 0, 73, 0, 0, 0, 71,
	71, 71, 0, 71, 71, 69, 69, 71, 71, 71, 0, 0, 0, 73, 73, 73, 73, 0, 0, 73, 73, 73, 73, 73, 73, 0, 0, 0, 0, 85,
	85, 85, 85, 81, 81, 85, 85, 85, 85, 85, 85, 81, 0, 0, 0, 0, 0, 89, 89, 89, 0, 89, 89, 79, 79, 89, 89, 89, 0,
	0, 0,
};

static const u8 cyrillic[] = { /* U+0400 to U+04FF, less 0x400 */
	53, 53, 82, 51, 84, 85, 86, 86, 88, 89, 90, 91, 58, 56, 67, 95, 48, 49, 50, 51, 52, 53, 54, 55, 56, 56, 58,
	59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 48, 49, 50, 51, 52, 53,
	54, 55, 56, 56, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 53,
	53, 82, 51, 84, 85, 86, 86, 88, 89, 90, 91, 58, 56, 67, 95, 97, 97, 99, 99, 101, 101, 103, 103, 105, 105,
	107, 107, 109, 109, 111, 111, 113, 113, 115, 115, 117, 117, 117, 117, 121, 121, 123, 123, 125, 125, 127, 127,
	129, 129, 130, 131, 132, 133, 134, 135, 136, 137, 139, 139, 141, 141, 143, 143, 145, 145, 147, 147, 149, 149,
	151, 151, 153, 153, 155, 155, 157, 157, 159, 159, 161, 161, 163, 163, 165, 165, 167, 167, 169, 169, 171, 171,
	173, 173, 175, 175, 177, 177, 179, 179, 181, 181, 183, 183, 185, 185, 187, 187, 189, 189, 191, 191, 207, 54,
	54, 196, 196, 198, 198, 200, 200, 202, 202, 204, 204, 206, 206, 207, 48, 48, 48, 48, 213, 213, 53, 53, 217,
	217, 217, 217, 54, 54, 55, 55, 225, 225, 56, 56, 56, 56, 62, 62, 233, 233, 233, 233, 77, 77, 67, 67, 67, 67,
	67, 67, 71, 71, 247, 247, 75, 75, 251, 251, 253, 253, 255, 255,
};

static u32 code_point(const u8 *p, size_t n)
{
	u32 cp = n == 1 ? p[0] : p[0] & (0x7fu >> n);

	for (size_t i = 1; i < n; i++)
		cp = cp << 6 | (p[i] & 0x3f);
	return cp;
}

static void put_two_bytes(struct strbuf *out, u32 cp)
{
	char b[2] = { (char)(0xc0 | cp >> 6), (char)(0x80 | (cp & 0x3f)) };

	strbuf_add(out, b, 2);
}

static void put_ascii(struct strbuf *out, u32 cp)
{
	strbuf_putc(out, cp <= ' ' || cp == 0x7f ? ' ' : cp >= 'A' && cp <= 'Z' ? (char)(cp + 32) : (char)cp);
}

static bool put_latin(struct strbuf *out, u32 cp, char as)
{
	if (as == '.')
		return false;
	if (as != '?') {
		strbuf_putc(out, as);
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(several); i++)
		if (several[i].cp == cp)
			strbuf_puts(out, several[i].text);
	return true;
}

/* False: stays as it is. */
static bool put_folded(struct strbuf *out, u32 cp)
{
	if (cp >= 0xc0 && cp < 0x250)
		return put_latin(out, cp, latin[cp - 0xc0]);
	if (cp >= 0x1e00 && cp < 0x1f00)
		return put_latin(out, cp, latin_more[cp - 0x1e00]);
	if (cp >= 0x300 && cp < 0x370)
		return true;
	if (cp >= 0x370 && cp < 0x400)
		put_two_bytes(out, 0x370u + greek[cp - 0x370]);
	else if (cp >= 0x400 && cp < 0x500)
		put_two_bytes(out, 0x400u + cyrillic[cp - 0x400]);
	else if (cp >= 0x1f00 && cp < 0x2000 && greek_more[cp - 0x1f00])
		put_two_bytes(out, 0x370u + greek_more[cp - 0x1f00]);
	else if (cp > 0xff00 && cp < 0xff5f)
		put_ascii(out, cp - 0xff00 + 0x20);
	else if (cp == 0xa0 || cp == 0x3000 || (cp >= 0x2000 && cp <= 0x200a))
		strbuf_putc(out, ' ');
	else
		return false;
	return true;
}

void fold(struct span text, struct strbuf *out)
{
	for (size_t i = 0; i < text.n;) {
		size_t n = utf8_char(text.p + i, text.n - i, NULL);

		if (n == 0)
			strbuf_putc(out, '?');
		else if (n == 1)
			put_ascii(out, text.p[i]);
		else if (!put_folded(out, code_point(text.p + i, n)))
			strbuf_add(out, text.p + i, n);
		i += n ? n : 1;
	}
}
