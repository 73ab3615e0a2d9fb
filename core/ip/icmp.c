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

/* What an error consists of besides its quote. */
struct head {
	const struct ip *src, *dst;
	u8 type, code;
	const u8 *rest; /* four octets of the ICMP header, NULL: zero */
};

static u32 head_len(u8 family)
{
	return family == 4 ? 28 : 48;
}

/* Around a quote of `n` bytes that stands in its place already. */
static u32 put_head(const struct head *h, u32 n, u8 *out)
{
	bool is_v6 = h->src->family == 6;
	u32 ip_len = is_v6 ? 40 : 20, total = head_len(h->src->family) + n;
	u8 *icmp = out + ip_len;
	u64 sum = 0;

	memset(out, 0, ip_len + 8);
	icmp[0] = h->type;
	icmp[1] = h->code;
	if (h->rest)
		memcpy(icmp + 4, h->rest, 4);
	if (is_v6) {
		out[0] = 0x60;
		put_be16(out + 4, (u16)(total - 40));
		out[6] = IPPROTO_ICMP6;
		out[7] = REPLY_TTL;
		memcpy(out + 8, h->src->b, 16);
		memcpy(out + 24, h->dst->b, 16);
		sum = csum_pseudo(out + 8, 16, total - 40, IPPROTO_ICMP6);
	} else {
		out[0] = 0x45;
		put_be16(out + 2, (u16)total);
		put_be16(out + 6, 0x4000); /* DF */
		out[8] = REPLY_TTL;
		out[9] = IPPROTO_ICMP4;
		memcpy(out + 12, h->src->b, 4);
		memcpy(out + 16, h->dst->b, 4);
		put_be16(out + 10, csum_finish(csum_add(0, out, 20)));
	}
	put_be16(icmp + 2, csum_finish(csum_add(sum, icmp, total - ip_len)));
	return total;
}

u32 icmp_reply(enum icmp_reply what, const u8 *orig, const struct packet *p, u8 out[static ICMP_REPLY_MAX])
{
	u8 family = p->src.family;
	struct head h = { &p->dst, &p->src, family == 4 ? ICMP4_UNREACHABLE : ICMP6_UNREACHABLE, code_of(what, family), NULL };
	u32 quote = MIN(family == 4 ? (u32)(orig[0] & 15u) * 4 + QUOTE4_BEHIND_HEADER : QUOTE6_MAX, p->len);

	memcpy(out + head_len(family), orig, quote);
	return put_head(&h, quote, out);
}

u32 icmp_translate(const u8 *orig, const struct packet *p, const struct packet *quoted, const struct ip *proxy, u16 port,
		   u8 out[static ICMP_REPLY_MAX])
{
	const u8 *icmp = orig + p->l4;
	struct head h = { proxy, &p->dst, p->icmp_type, p->icmp_code, icmp + 4 };
	u32 n = p->len - p->l4 - 8u;
	u8 *quote = out + head_len(proxy->family);

	memcpy(quote, icmp + 8, n);
	memcpy(quote + (proxy->family == 4 ? 16 : 24), proxy->b, ip_len(proxy));
	put_be16(quote + quoted->l4 + (quoted->kind == L4_ECHO ? 4 : 0), port);
	return put_head(&h, n, out);
}
