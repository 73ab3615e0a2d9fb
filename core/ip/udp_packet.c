#include "core/ip/udp_packet.h"

#include "core/ip/checksum.h"

#define HEADER_LEN 8u
#define TTL 64u

static u32 ip4_write(const struct endpoint *src, const struct endpoint *dst, u32 l4_len, u8 *out)
{
	memset(out, 0, 20);
	out[0] = 0x45;
	put_be16(out + 2, (u16)(20 + l4_len));
	put_be16(out + 6, 0x4000); /* DF */
	out[8] = TTL;
	out[9] = IPPROTO_UDP_;
	memcpy(out + 12, src->ip.b, 4);
	memcpy(out + 16, dst->ip.b, 4);
	put_be16(out + 10, csum_finish(csum_add(0, out, 20)));
	return 20;
}

static u32 ip6_write(const struct endpoint *src, const struct endpoint *dst, u32 l4_len, u8 *out)
{
	memset(out, 0, 40);
	out[0] = 0x60;
	put_be16(out + 4, (u16)l4_len);
	out[6] = IPPROTO_UDP_;
	out[7] = TTL;
	memcpy(out + 8, src->ip.b, 16);
	memcpy(out + 24, dst->ip.b, 16);
	return 40;
}

static u64 pseudo_sum(const u8 *data, u8 family, u32 l4_len)
{
	return family == 4 ? csum_pseudo(data + 12, 4, l4_len, IPPROTO_UDP_) : csum_pseudo(data + 8, 16, l4_len, IPPROTO_UDP_);
}

u32 udp_packet_write(const struct endpoint *src, const struct endpoint *dst, struct span payload, u8 out[static TUNNEL_MTU])
{
	if (src->ip.family != dst->ip.family || payload.n > UDP_PAYLOAD_MAX)
		return 0;
	u32 l4_len = HEADER_LEN + (u32)payload.n;
	u32 at = src->ip.family == 4 ? ip4_write(src, dst, l4_len, out) : ip6_write(src, dst, l4_len, out);
	u8 *udp = out + at;
	put_be16(udp, src->port);
	put_be16(udp + 2, dst->port);
	put_be16(udp + 4, (u16)l4_len);
	put_be16(udp + 6, 0);
	memcpy(udp + HEADER_LEN, payload.p, payload.n);
	u16 sum = csum_finish(csum_add(pseudo_sum(out, src->ip.family, l4_len), udp, l4_len));
	put_be16(udp + 6, sum ? sum : 0xffff);
	return at + l4_len;
}

int udp_packet_read(const u8 *data, const struct packet *p, struct span *payload)
{
	u32 left = p->len - p->l4;
	const u8 *udp = data + p->l4;

	if (p->kind != L4_UDP || left < HEADER_LEN)
		return ERR_MALFORMED;
	u32 len = get_be16(udp + 4);
	if (len < HEADER_LEN || len > left)
		return ERR_MALFORMED;
	bool has_sum = get_be16(udp + 6) != 0;
	if (has_sum ? csum_finish(csum_add(pseudo_sum(data, p->src.family, len), udp, len)) != 0 : p->src.family == 6)
		return ERR_MALFORMED;
	*payload = SPAN(udp + HEADER_LEN, len - HEADER_LEN);
	return 0;
}
