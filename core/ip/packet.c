#include "core/ip/packet.h"

#include "core/ip/checksum.h"

#define EXT_HOP_BY_HOP 0u
#define EXT_ROUTING 43u
#define EXT_FRAGMENT 44u
#define EXT_AUTH 51u
#define EXT_DESTINATION 60u
#define PROTO_CONTROL 255u

#define ECHO_REPLY4 0u
#define ECHO_REQUEST4 8u
#define ECHO_REQUEST6 128u
#define ECHO_REPLY6 129u
#define TIMESTAMP4 13u
#define TIMESTAMP_REPLY4 14u
#define TIMESTAMP_BYTES 20u

/* How much of the transport header must be there. */
enum strictness { WHOLE, QUOTED };

static int skip_auth(struct rd *r, u8 *proto)
{
	*proto = rd_u8(r);
	u8 words = rd_u8(r);
	rd_skip(r, ((size_t)words + 2) * 4 - 2);
	return rd_ok(r) ? 0 : ERR_MALFORMED;
}

static int parse_ip4(const u8 *data, size_t len, size_t max, enum strictness how, struct packet *p)
{
	if (len < 20)
		return ERR_MALFORMED;
	size_t ihl = (size_t)(data[0] & 15u) * 4;
	size_t total = get_be16(data + 2);
	if (how == QUOTED)
		total = len;
	if (ihl < 20 || ihl > len || total < ihl || total > len)
		return ERR_MALFORMED;
	if (total > max)
		return ERR_LIMIT;
	if (get_be16(data + 6) & 0x3fffu)
		return ERR_UNSUPPORTED;
	p->tos = data[1];
	p->proto = data[9];
	p->src = ip_from_bytes(4, data + 12);
	p->dst = ip_from_bytes(4, data + 16);
	p->len = (u32)total;
	p->l4 = (u16)ihl;
	if (p->proto == EXT_AUTH) {
		struct rd r = rd_init(data + ihl, total - ihl);
		if (skip_auth(&r, &p->proto))
			return ERR_MALFORMED;
		p->l4 = (u16)(r.p - data);
	}
	return 0;
}

static int parse_ip6(const u8 *data, size_t len, size_t max, enum strictness how, struct packet *p)
{
	if (len < 40)
		return ERR_MALFORMED;
	size_t payload = get_be16(data + 4);
	if (payload == 0 || how == QUOTED)
		payload = len - 40;
	if (40 + payload > len)
		return ERR_MALFORMED;
	if (40 + payload > max)
		return ERR_LIMIT;
	p->tos = (u8)(data[0] << 4 | data[1] >> 4);
	p->proto = data[6];
	p->src = ip_from_bytes(6, data + 8);
	p->dst = ip_from_bytes(6, data + 24);
	p->len = (u32)(40 + payload);

	struct rd r = rd_init(data + 40, payload);
	for (;;) { /* each round takes at least 8 bytes */
		switch (p->proto) {
		case EXT_HOP_BY_HOP:
		case EXT_ROUTING:
		case EXT_DESTINATION: {
			p->proto = rd_u8(&r);
			u8 units = rd_u8(&r);
			rd_skip(&r, ((size_t)units + 1) * 8 - 2);
			break;
		}
		case EXT_FRAGMENT:
			p->proto = rd_u8(&r);
			rd_skip(&r, 1);
			if (rd_be16(&r) & 0xfff9u)
				return rd_ok(&r) ? ERR_UNSUPPORTED : ERR_MALFORMED;
			rd_skip(&r, 4);
			break;
		case EXT_AUTH:
			(void)skip_auth(&r, &p->proto);
			break;
		default:
			p->l4 = (u16)(r.p - data);
			return rd_ok(&r) ? 0 : ERR_MALFORMED;
		}
		if (!rd_ok(&r))
			return ERR_MALFORMED;
	}
}

static int parse_tcp(const u8 *l4, size_t n, enum strictness how, struct packet *p)
{
	p->kind = L4_TCP;
	if (n < 4)
		return ERR_MALFORMED;
	p->src_port = get_be16(l4);
	p->dst_port = get_be16(l4 + 2);
	if (how == QUOTED)
		return 0;
	if (n < 20)
		return ERR_MALFORMED;
	size_t header = (size_t)(l4[12] >> 4) * 4;
	if (header < 20 || header > n)
		return ERR_MALFORMED;
	p->tcp_seq = get_be32(l4 + 4);
	p->tcp_flags = l4[13];
	return 0;
}

static int parse_udp(const u8 *l4, size_t n, enum strictness how, struct packet *p)
{
	p->kind = L4_UDP;
	if (n < 4)
		return ERR_MALFORMED;
	p->src_port = get_be16(l4);
	p->dst_port = get_be16(l4 + 2);
	if (how == QUOTED)
		return 0;
	if (n < 8)
		return ERR_MALFORMED;
	size_t length = get_be16(l4 + 4);
	return length > n || (length != 0 && length < 8) ? ERR_MALFORMED : 0;
}

static int parse_icmp(const u8 *l4, size_t n, bool is_v6, enum strictness how, struct packet *p)
{
	if (n < 8)
		return ERR_MALFORMED;
	u8 type = p->icmp_type = l4[0];
	p->icmp_code = l4[1];
	bool is_request = type == (is_v6 ? ECHO_REQUEST6 : ECHO_REQUEST4);
	bool is_reply = type == (is_v6 ? ECHO_REPLY6 : ECHO_REPLY4);
	bool is_error = is_v6 ? type >= ICMP6_UNREACHABLE && type <= ICMP6_TIME_EXCEEDED :
				type == ICMP4_UNREACHABLE || type == ICMP4_TIME_EXCEEDED;
	if (is_request || is_reply) {
		p->kind = L4_ECHO;
		p->src_port = p->dst_port = get_be16(l4 + 4);
	} else {
		p->kind = is_error ? L4_ICMP_ERROR : L4_ICMP_OTHER;
	}
	if (how == QUOTED)
		return is_request ? 0 : ERR_UNSUPPORTED;
	bool is_timestamp = !is_v6 && (type == TIMESTAMP4 || type == TIMESTAMP_REPLY4);
	return is_timestamp && n != TIMESTAMP_BYTES ? ERR_MALFORMED : 0;
}

static int parse(const u8 *data, size_t len, size_t max, enum strictness how, struct packet *p)
{
	int rc;
	bool is_v6;

	*p = (struct packet){ .kind = L4_OTHER };
	if (len == 0)
		return ERR_MALFORMED;
	switch (data[0] >> 4) {
	case 4:
		is_v6 = false;
		rc = parse_ip4(data, len, max, how, p);
		break;
	case 6:
		is_v6 = true;
		rc = parse_ip6(data, len, max, how, p);
		break;
	default:
		return ERR_MALFORMED;
	}
	if (rc)
		return rc;
	const u8 *l4 = data + p->l4;
	size_t n = p->len - p->l4;
	switch (p->proto) {
	case IPPROTO_TCP_:
		return parse_tcp(l4, n, how, p);
	case IPPROTO_UDP_:
		return parse_udp(l4, n, how, p);
	case IPPROTO_ICMP4:
		return is_v6 ? ERR_MALFORMED : parse_icmp(l4, n, false, how, p);
	case IPPROTO_ICMP6:
		return is_v6 ? parse_icmp(l4, n, true, how, p) : ERR_MALFORMED;
	default:
		return how == QUOTED ? ERR_UNSUPPORTED : 0;
	}
}

int packet_parse(const u8 *data, size_t len, size_t max, struct packet *out)
{
	return parse(data, len, max, WHOLE, out);
}

int packet_parse_quoted(const u8 *data, const struct packet *error, struct packet *out)
{
	size_t at = (size_t)error->l4 + 8;
	if (error->kind != L4_ICMP_ERROR || at > error->len)
		return ERR_MALFORMED;
	return parse(data + at, error->len - at, SIZE_MAX, QUOTED, out);
}

bool packet_is_control(const struct packet *p)
{
	return p->proto == PROTO_CONTROL && p->src.family == 6 && p->l4 == 40 && p->len >= 48 && ip_is_unspecified(&p->src) &&
	       ip_is_unspecified(&p->dst);
}

bool packet_is_prohibited(const struct packet *p)
{
	return p->kind == L4_ICMP_ERROR && (p->src.family == 4 ? p->icmp_type == ICMP4_UNREACHABLE && p->icmp_code == ICMP4_PROHIBITED :
								 p->icmp_type == ICMP6_UNREACHABLE && p->icmp_code == ICMP6_PROHIBITED);
}

void packet_merge_ecn(u8 *data, struct packet *p, u8 outer_ecn)
{
	u8 inner = packet_ecn(p);
	if (outer_ecn != ECN_CE || inner == ECN_NOT_ECT || inner == ECN_CE)
		return;
	p->tos |= ECN_CE;
	if (p->src.family == 4) {
		u16 before = get_be16(data);
		data[1] |= ECN_CE;
		put_be16(data + 10, csum_update16(get_be16(data + 10), before, get_be16(data)));
	} else {
		data[1] |= ECN_CE << 4;
	}
}

bool packet_l4_checksum_is_right(const u8 *data, const struct packet *p)
{
	const u8 *l4 = data + p->l4;
	u32 n = p->kind == L4_UDP && get_be16(l4 + 4) >= 8 ? get_be16(l4 + 4) : p->len - p->l4;
	bool is_v6 = p->src.family == 6;

	if (p->kind == L4_UDP && !is_v6 && get_be16(l4 + 6) == 0)
		return true;
	u64 sum = csum_pseudo(data + (is_v6 ? 8 : 12), is_v6 ? 16 : 4, n, p->proto);
	return csum_fold(csum_add(sum, l4, n)) == 0xffff;
}

bool packet_ip_checksum_is_right(const u8 *data, const struct packet *p)
{
	return p->src.family == 6 || csum_fold(csum_add(0, data, (size_t)(data[0] & 15u) * 4)) == 0xffff;
}

u32 packet_payload_len(const u8 *data, const struct packet *p)
{
	u32 n = p->len - p->l4;

	if (p->kind == L4_TCP)
		return n - (u32)(data[p->l4 + 12] >> 4) * 4;
	return p->kind == L4_UDP ? n - 8 : 0;
}
