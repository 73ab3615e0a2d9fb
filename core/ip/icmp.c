#include "core/ip/icmp.h"

#include "core/ip/checksum.h"

#define REPLY_TTL 20u
#define QUOTE4_BEHIND_HEADER 8u
#define QUOTE6_MAX 1232u

static u8 code_of(enum icmp_reply what, u8 family)
{
	switch (what) {
	case ICMP_FILTERED:
		return family == 4 ? ICMP4_PROHIBITED : ICMP6_PROHIBITED;
	case ICMP_UNREACHABLE:
		return family == 4 ? ICMP4_NET_UNREACHABLE : ICMP6_ADDR_UNREACHABLE;
	}
	return 0;
}

static u32 reply4(u8 code, const u8 *orig, const struct packet *p, u8 *out)
{
	u32 quote = MIN((u32)(orig[0] & 15u) * 4 + QUOTE4_BEHIND_HEADER, p->len);
	u32 total = 28 + quote;
	memset(out, 0, 28);
	out[0] = 0x45;
	put_be16(out + 2, (u16)total);
	put_be16(out + 6, 0x4000); /* DF */
	out[8] = REPLY_TTL;
	out[9] = IPPROTO_ICMP4;
	memcpy(out + 12, p->dst.b, 4);
	memcpy(out + 16, p->src.b, 4);
	put_be16(out + 10, csum_finish(csum_add(0, out, 20)));
	out[20] = ICMP4_UNREACHABLE;
	out[21] = code;
	memcpy(out + 28, orig, quote);
	put_be16(out + 22, csum_finish(csum_add(0, out + 20, total - 20)));
	return total;
}

static u32 reply6(u8 code, const u8 *orig, const struct packet *p, u8 *out)
{
	u32 quote = MIN(QUOTE6_MAX, p->len);
	u32 total = 48 + quote;
	memset(out, 0, 48);
	out[0] = 0x60;
	put_be16(out + 4, (u16)(total - 40));
	out[6] = IPPROTO_ICMP6;
	out[7] = REPLY_TTL;
	memcpy(out + 8, p->dst.b, 16);
	memcpy(out + 24, p->src.b, 16);
	out[40] = ICMP6_UNREACHABLE;
	out[41] = code;
	memcpy(out + 48, orig, quote);
	put_be16(out + 42, csum_finish(csum_add(csum_pseudo(out + 8, 16, total - 40, IPPROTO_ICMP6), out + 40, total - 40)));
	return total;
}

u32 icmp_reply(enum icmp_reply what, const u8 *orig, const struct packet *p, u8 out[static ICMP_REPLY_MAX])
{
	u8 code = code_of(what, p->src.family);
	return p->src.family == 4 ? reply4(code, orig, p, out) : reply6(code, orig, p, out);
}
