#include "core/ip/coalesce.h"

#include "core/ip/checksum.h"
#include "core/ip/segment.h"

#include <stdlib.h>

/* An open aggregate. `out` is its place among the packets of the batch. */
struct aggregate {
	u32 out;
	u32 header;     /* IP and transport headers */
	u32 mss;
	u32 next_seq;
	u16 segments;
	u16 l4;
	u8 proto;
	bool is_v6;
	bool has_psh;
	const struct tun_piece **last; /* where the next payload is hung */
};

struct coalescer {
	struct aggregate open[COALESCE_FLOWS];
	u32 n_open;
	u32 n_out;
	u32 n_pieces;
	struct coalesce_stats stats;
	struct tun_pkt out[COALESCE_OUT_MAX];
	struct tun_piece pieces[COALESCE_PIECES];
};

struct coalescer *coalesce_new(void)
{
	return calloc(1, sizeof(struct coalescer));
}

void coalesce_free(struct coalescer *c)
{
	free(c);
}

void coalesce_reset(struct coalescer *c)
{
	c->n_open = c->n_out = c->n_pieces = 0;
}

struct tun_pkt *coalesce_out(struct coalescer *c, size_t *count)
{
	*count = c->n_out;
	return c->out;
}

const struct coalesce_stats *coalesce_stats(const struct coalescer *c)
{
	return &c->stats;
}

/* Whether a packet belongs to the flow of the aggregate whose first bytes are `a`: addresses, protocol and ports. */
static bool is_same_flow(const struct aggregate *g, const u8 *a, const u8 *b, const struct packet *p)
{
	if (g->is_v6 != (p->src.family == 6) || g->proto != p->proto || g->l4 != p->l4)
		return false;
	return (g->is_v6 ? memcmp(a + 8, b + 8, 32) == 0 : memcmp(a + 12, b + 12, 8) == 0) && memcmp(a + g->l4, b + g->l4, 4) == 0;
}

static bool has_same_ip_header(const struct aggregate *g, const u8 *a, const u8 *b)
{
	if (g->is_v6) /* version, class, flow label; hop limit */
		return memcmp(a, b, 4) == 0 && a[7] == b[7];
	if (a[1] != b[1] || a[8] != b[8] || memcmp(a + 6, b + 6, 2) != 0)
		return false;
	/* Where the kernel could fragment again, ids must be what cutting would give. */
	return (a[6] & 0x40) || (u16)(get_be16(a + 4) + g->segments) == get_be16(b + 4);
}

/* Could this packet be a segment of an aggregate at all? */
static bool is_joinable(struct coalescer *c, const u8 *data, const struct packet *p, u32 *header)
{
	const u8 *l4 = data + p->l4;
	if (p->src.family == 4 ? p->l4 != 20 : p->l4 != 40)
		return false;
	if (p->kind == L4_TCP) {
		*header = p->l4 + (u32)(l4[12] >> 4) * 4;
		if ((p->tcp_flags & ~TCP_PSH) != TCP_ACK || *header == p->len)
			return false;
	} else if (p->kind == L4_UDP) {
		*header = p->l4 + 8u;
		if (*header == p->len || get_be16(l4 + 4) != p->len - p->l4 || get_be16(l4 + 6) == 0)
			return false;
	} else {
		return false;
	}
	if (packet_l4_checksum_is_right(data, p))
		return true;
	c->stats.bad_checksum++;
	return false;
}

static bool follows(const struct aggregate *g, const struct tun_pkt *out, const u8 *data, const struct packet *p, u32 header)
{
	const u8 *a = out->data + g->l4, *b = data + p->l4;
	u32 payload = p->len - header;

	if (g->segments == TUN_PIECES_MAX || header != g->header || payload > g->mss || out->len + payload > SUPER_PACKET_MAX ||
	    !has_same_ip_header(g, out->data, data))
		return false;
	if (p->kind == L4_UDP)
		return true;
	/* Ack number, data offset, window, urgent pointer and options; flags were judged before. */
	return p->tcp_seq == g->next_seq && memcmp(a + 8, b + 8, 5) == 0 && memcmp(a + 14, b + 14, 2) == 0 &&
	       memcmp(a + 18, b + 18, header - p->l4 - 18) == 0;
}

/* Fixes the headers of a joined packet and takes the aggregate from the open ones. */
static void close_at(struct coalescer *c, u32 i)
{
	struct aggregate *g = &c->open[i];
	struct tun_pkt *out = &c->out[g->out];

	if (g->segments > 1) {
		u8 *ip = out->data, *l4 = ip + g->l4;
		u32 l4_len = out->len - g->l4;
		bool is_tcp = g->proto == IPPROTO_TCP_;
		if (g->is_v6) {
			put_be16(ip + 4, (u16)(out->len - 40));
		} else {
			put_be16(ip + 2, (u16)out->len);
			put_be16(ip + 10, 0);
			put_be16(ip + 10, csum_finish(csum_add(0, ip, 20)));
		}
		if (is_tcp && g->has_psh)
			l4[13] |= TCP_PSH;
		if (!is_tcp)
			put_be16(l4 + 4, (u16)l4_len);
		u16 pseudo = csum_fold(csum_pseudo(ip + (g->is_v6 ? 8 : 12), g->is_v6 ? 16 : 4, l4_len, g->proto));
		put_be16(l4 + (is_tcp ? 16 : 6), pseudo);
		out->vnet = (struct vnet){
			.flags = VNET_NEEDS_CSUM,
			.gso_type = !is_tcp ? VNET_GSO_UDP_L4 : g->is_v6 ? VNET_GSO_TCPV6 : VNET_GSO_TCPV4,
			.hdr_len = (u16)g->header,
			.gso_size = (u16)g->mss,
			.csum_start = g->l4,
			.csum_offset = is_tcp ? 16 : 6,
		};
	}
	memmove(g, g + 1, (c->n_open - i - 1) * sizeof(*g));
	c->n_open--;
}

static struct tun_pkt *append(struct coalescer *c, u8 *data, u32 len)
{
	if (c->n_out == COALESCE_OUT_MAX) {
		c->stats.overflow++;
		return NULL;
	}
	c->stats.packets_out++;
	struct tun_pkt *out = &c->out[c->n_out++];
	*out = (struct tun_pkt){ .data = data, .len = len, .head = len, .has_headroom = true };
	return out;
}

void coalesce_add(struct coalescer *c, u8 *data, const struct packet *p)
{
	u32 header = 0;
	bool joinable = is_joinable(c, data, p, &header);

	c->stats.packets_in++;
	for (u32 i = 0; i < c->n_open; i++) {
		struct aggregate *g = &c->open[i];
		struct tun_pkt *out = &c->out[g->out];
		if (!is_same_flow(g, out->data, data, p))
			continue;
		if (!joinable || c->n_pieces == COALESCE_PIECES || !follows(g, out, data, p, header)) {
			close_at(c, i);
			break;
		}
		u32 payload = p->len - header;
		struct tun_piece *piece = &c->pieces[c->n_pieces++];
		*piece = (struct tun_piece){ .data = data + header, .len = payload };
		*g->last = piece;
		g->last = &piece->next;
		out->len += payload;
		g->next_seq += payload;
		g->segments++;
		g->has_psh = p->kind == L4_TCP && (p->tcp_flags & TCP_PSH);
		if (g->has_psh || payload < g->mss || out->len + g->mss > SUPER_PACKET_MAX)
			close_at(c, i);
		return;
	}
	if (!append(c, data, p->len) || !joinable || (p->tcp_flags & TCP_PSH))
		return;
	if (c->n_open == COALESCE_FLOWS)
		close_at(c, 0);
	c->open[c->n_open++] = (struct aggregate){
		.out = c->n_out - 1,
		.header = header,
		.mss = p->len - header,
		.next_seq = p->tcp_seq + (p->len - header),
		.segments = 1,
		.l4 = p->l4,
		.proto = p->proto,
		.is_v6 = p->src.family == 6,
		.last = &c->out[c->n_out - 1].more,
	};
}

void coalesce_finish(struct coalescer *c)
{
	while (c->n_open > 0)
		close_at(c, c->n_open - 1);
}
