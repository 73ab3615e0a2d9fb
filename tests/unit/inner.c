#include "tests/unit/inner.h"

#include "core/base/cursor.h"

#include <stdlib.h>

u16 inner_checksum(const u8 *p, size_t n, u32 start)
{
	u32 sum = start;
	for (size_t i = 0; i < n; i++) {
		sum += i % 2 ? p[i] : (u32)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (u16)sum;
}

static u32 pseudo_sum(const u8 *pkt, u32 l4_len, u8 proto)
{
	u8 tail[4] = { (u8)(l4_len >> 8), (u8)l4_len, 0, proto };
	u32 sum = pkt[0] >> 4 == 4 ? inner_checksum(pkt + 12, 8, 0) : inner_checksum(pkt + 8, 32, 0);
	return inner_checksum(tail, 4, sum);
}

static size_t checksum_offset(u8 proto)
{
	return proto == 6 ? 16 : proto == 17 ? 6 : 2;
}

u32 inner_make(const struct inner_spec *s, u8 *out)
{
	bool is_v6 = s->src.family == 6;
	u32 ip_len = is_v6 ? 40 : 20;
	struct wr w = wr_init(out + ip_len, 70000);
	switch (s->proto) {
	case 6:
		wr_be16(&w, s->sport);
		wr_be16(&w, s->dport);
		wr_be32(&w, s->seq);
		wr_be32(&w, s->ack);
		wr_u8(&w, (u8)((20 + s->tcp_options) / 4 << 4));
		wr_u8(&w, s->tcp_flags);
		wr_be16(&w, s->window);
		wr_zero(&w, 4);
		for (unsigned i = 0; i < s->tcp_options; i++)
			wr_u8(&w, 1);
		break;
	case 17:
		wr_be16(&w, s->sport);
		wr_be16(&w, s->dport);
		wr_be16(&w, (u16)(8 + s->payload_len));
		wr_be16(&w, 0);
		break;
	case 1:
	case 58:
		wr_be16(&w, s->sport);
		wr_be16(&w, 0);
		wr_be16(&w, s->dport);
		wr_be16(&w, (u16)s->seq);
		break;
	}
	if (s->payload)
		wr_bytes(&w, s->payload, s->payload_len);
	else
		wr_zero(&w, s->payload_len);
	u32 l4_len = (u32)wr_len(&w), total = ip_len + l4_len;
	struct wr h = wr_init(out, ip_len);
	if (is_v6) {
		wr_be32(&h, 0x60000000u | (u32)s->tos << 20);
		wr_be16(&h, (u16)l4_len);
		wr_u8(&h, s->proto);
		wr_u8(&h, s->ttl ? s->ttl : 64);
	} else {
		wr_u8(&h, 0x45);
		wr_u8(&h, s->tos);
		wr_be16(&h, (u16)total);
		wr_be16(&h, s->id);
		wr_be16(&h, s->no_df ? 0 : 0x4000);
		wr_u8(&h, s->ttl ? s->ttl : 64);
		wr_u8(&h, s->proto);
		wr_be16(&h, 0);
	}
	wr_bytes(&h, s->src.b, is_v6 ? 16 : 4);
	wr_bytes(&h, s->dst.b, is_v6 ? 16 : 4);
	if (!is_v6)
		put_be16(out + 10, (u16)~inner_checksum(out, 20, 0));
	if (s->proto == 6 || s->proto == 17 || s->proto == 1 || s->proto == 58) {
		u32 start = s->proto == 1 ? 0 : pseudo_sum(out, l4_len, s->proto);
		u16 check = (u16)~inner_checksum(out + ip_len, l4_len, start);
		put_be16(out + ip_len + checksum_offset(s->proto), check == 0 && s->proto == 17 ? 0xffff : check);
	}
	return total;
}

bool inner_checksums_are_right(const u8 *pkt, size_t len)
{
	bool is_v6 = pkt[0] >> 4 == 6;
	size_t ip_len = is_v6 ? 40 : (size_t)(pkt[0] & 15) * 4;
	u8 proto = is_v6 ? pkt[6] : pkt[9];
	u32 l4_len = (u32)(len - ip_len);
	if (!is_v6 && inner_checksum(pkt, ip_len, 0) != 0xffff)
		return false;
	if (proto != 6 && proto != 17 && proto != 1 && proto != 58)
		return true;
	return inner_checksum(pkt + ip_len, l4_len, proto == 1 ? 0 : pseudo_sum(pkt, l4_len, proto)) == 0xffff;
}

struct ip ip_of(const char *text)
{
	struct ip ip;
	if (ip_parse(SPAN(text, strlen(text)), &ip))
		abort();
	return ip;
}

struct cidr cidr_of(const char *text)
{
	struct cidr net;
	if (cidr_parse(SPAN(text, strlen(text)), &net))
		abort();
	return net;
}

struct uuid uuid_of(unsigned n)
{
	struct uuid id = { { 0 } };
	put_be32(id.b + 12, n);
	return id;
}
