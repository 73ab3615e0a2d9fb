#include "core/ip/segment.h"

#include "core/ip/checksum.h"

#define GSO_ECN 0x80u /* a modifier of the type: the first segment carries CWR */

static bool is_checksum_of(enum l4_kind kind, u16 offset)
{
	switch (kind) {
	case L4_TCP:
		return offset == 16;
	case L4_UDP:
		return offset == 6;
	case L4_ECHO:
	case L4_ICMP_ERROR:
	case L4_ICMP_OTHER:
		return offset == 2;
	case L4_OTHER:
		return true;
	}
	return false;
}

static int init_plain(struct segmenter *s, const struct vnet *v)
{
	if (s->p.len > TUNNEL_MTU)
		return ERR_LIMIT;
	s->how = SEGMENT_PLAIN;
	s->header = 0;
	s->payload = s->mss = s->p.len;
	if (v->flags & VNET_NEEDS_CSUM) {
		u32 at = (u32)v->csum_start + v->csum_offset;
		if (v->csum_start != s->p.l4 || at + 2 > s->p.len || !is_checksum_of(s->p.kind, v->csum_offset))
			return ERR_MALFORMED;
		s->csum_start = v->csum_start;
		s->csum_at = (u16)at;
	}
	return 0;
}

static int init_super(struct segmenter *s, const struct vnet *v, enum l4_kind kind, u8 family)
{
	if (s->p.kind != kind || (family && s->p.src.family != family) || v->gso_size == 0)
		return ERR_MALFORMED;
	s->header = s->p.l4 + (kind == L4_TCP ? (u32)(s->data[s->p.l4 + 12] >> 4) * 4 : 8u);
	s->payload = s->p.len - s->header;
	s->mss = v->gso_size;
	s->how = kind == L4_TCP ? SEGMENT_TCP : SEGMENT_UDP;
	return s->header + MIN(s->mss, s->payload) > TUNNEL_MTU ? ERR_LIMIT : 0;
}

int segment_init(struct segmenter *s, const struct tun_pkt *pkt)
{
	const struct vnet *v = &pkt->vnet;

	s->data = pkt->data;
	s->done = 0;
	s->index = 0;
	s->csum_start = s->csum_at = 0;
	int rc = packet_parse(pkt->data, pkt->len, SUPER_PACKET_MAX, &s->p);
	if (rc)
		return rc;
	switch (v->gso_type & ~GSO_ECN) {
	case VNET_GSO_NONE:
		return init_plain(s, v);
	case VNET_GSO_TCPV4:
		return init_super(s, v, L4_TCP, 4);
	case VNET_GSO_TCPV6:
		return init_super(s, v, L4_TCP, 6);
	case VNET_GSO_UDP_L4:
		return init_super(s, v, L4_UDP, 0);
	default:
		return ERR_MALFORMED;
	}
}

static void write_plain(const struct segmenter *s, u8 *slot)
{
	memcpy(slot, s->data, s->p.len);
	if (!s->csum_at)
		return;
	u16 check = csum_finish(csum_add(0, slot + s->csum_start, s->p.len - s->csum_start));
	put_be16(slot + s->csum_at, check == 0 && s->p.kind == L4_UDP ? 0xffff : check);
}

static void fix_ip(const struct segmenter *s, u8 *slot, u32 len)
{
	if (s->p.src.family == 6) {
		put_be16(slot + 4, (u16)(len - 40));
		return;
	}
	put_be16(slot + 2, (u16)len);
	put_be16(slot + 4, (u16)(get_be16(s->data + 4) + s->index));
	put_be16(slot + 10, 0);
	put_be16(slot + 10, csum_finish(csum_add(0, slot, (size_t)(slot[0] & 15u) * 4)));
}

static u16 l4_checksum(const struct segmenter *s, const u8 *slot, u32 len)
{
	u32 l4_len = len - s->p.l4;
	bool is_v6 = s->p.src.family == 6;
	u64 sum = csum_pseudo(slot + (is_v6 ? 8 : 12), is_v6 ? 16 : 4, l4_len, s->p.proto);
	return csum_finish(csum_add(sum, slot + s->p.l4, l4_len));
}

void segment_write(struct segmenter *s, u8 *slot)
{
	u32 len = segment_next_len(s);
	u32 n = len - s->header;
	u8 *l4 = slot + s->p.l4;
	bool is_last = s->done + n == s->payload;

	if (s->how == SEGMENT_PLAIN) {
		write_plain(s, slot);
	} else if (s->how == SEGMENT_TCP || s->how == SEGMENT_UDP) {
		memcpy(slot, s->data, s->header);
		memcpy(slot + s->header, s->data + s->header + s->done, n);
		fix_ip(s, slot, len);
		if (s->how == SEGMENT_TCP) {
			put_be32(l4 + 4, s->p.tcp_seq + s->done);
			if (!is_last)
				l4[13] &= (u8) ~(TCP_FIN | TCP_PSH);
			if (s->index > 0)
				l4[13] &= (u8)~TCP_CWR;
			put_be16(l4 + 16, 0);
			put_be16(l4 + 16, l4_checksum(s, slot, len));
		} else {
			put_be16(l4 + 4, (u16)(len - s->p.l4));
			put_be16(l4 + 6, 0);
			u16 check = l4_checksum(s, slot, len);
			put_be16(l4 + 6, check ? check : 0xffff);
		}
	}
	s->done += n;
	s->index++;
	if (is_last)
		s->how = SEGMENT_END;
}
