#include "platform/linux/udp_message.h"

int udp_set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

static void set_buffer(int fd, int force, int option, u32 bytes)
{
	if (bytes != 0 && udp_set_int(fd, SOL_SOCKET, force, (int)bytes) != 0)
		(void)udp_set_int(fd, SOL_SOCKET, option, (int)bytes);
}

void udp_set_buffers(int fd, u32 sndbuf, u32 rcvbuf)
{
	set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, sndbuf);
	set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, rcvbuf);
}

void udp_read_control(struct msghdr *h, struct udp_rx *rx)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		const u8 *data = CMSG_DATA(c);
		int value = 0;
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			memcpy(&value, data, sizeof(value));
			rx->seg = (u16)value;
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;
			memcpy(&info, data, sizeof(info));
			rx->local.ip = ip_from_bytes(4, (const u8 *)&info.ipi_addr);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			rx->local.ip = ip_from_bytes(6, data); /* ipi6_addr comes first */
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
			rx->ecn = data[0] & 3;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
			memcpy(&value, data, sizeof(value));
			rx->ecn = (u8)(value & 3);
		}
	}
}

void udp_put_control(struct msghdr *h, int level, int type, const void *data, size_t n)
{
	struct cmsghdr *c = (struct cmsghdr *)(void *)((u8 *)h->msg_control + h->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = (socklen_t)CMSG_LEN(n);
	memcpy(CMSG_DATA(c), data, n);
	h->msg_controllen += (socklen_t)CMSG_SPACE(n);
}

void udp_put_source(struct msghdr *h, const struct ip *src)
{
	if (src->family == 4) {
		struct in_pktinfo info = { 0 };
		memcpy(&info.ipi_spec_dst, src->b, 4);
		udp_put_control(h, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	} else {
		struct in6_pktinfo info = { 0 };
		memcpy(&info.ipi6_addr, src->b, 16);
		udp_put_control(h, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
}
