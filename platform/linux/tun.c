#define LOG_TARGET "platform::tun"
#include "platform/tun.h"

#include "core/base/err.h"
#include "core/base/log.h"
#include "platform/linux/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define VNET_HDR 10u       /* struct virtio_net_hdr without num_buffers: the default of TUNGETVNETHDRSZ */
#define RX_BUFFER 65536u   /* a read into less truncates silently */
#define TUN_NODE "/dev/net/tun"
#define TUN_MAJOR 10
#define TUN_MINOR 200

struct tun {
	int fd;
	u32 ifindex;
	bool has_vnet;
	enum tun_offload offload;
	struct tun_stats stats;
	u8 buf[TUN_HEADROOM + VNET_HDR + RX_BUFFER]; /* the packet begins at TUN_HEADROOM + VNET_HDR */
};

/* ---- opening ---- */

static int open_node(void)
{
	int fd = open(TUN_NODE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	(void)mkdir("/dev/net", 0751); /* spec 30 §15 */
	if (mknod(TUN_NODE, S_IFCHR | 0666, makedev(TUN_MAJOR, TUN_MINOR)) != 0 && errno != EEXIST) {
		errno = ENOENT; /* whatever forbade it: the node is missing */
		return -1;
	}
	return open(TUN_NODE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
}

static int set_interface(int fd, const char *name, short flags, struct ifreq *ifr)
{
	*ifr = (struct ifreq){ .ifr_flags = flags };
	snprintf(ifr->ifr_name, IFNAMSIZ, "%s", name);
	return ioctl(fd, TUNSETIFF, ifr);
}

/* With the virtio header where there is one. IFF_MULTI_QUEUE matches a device that the reference left persistent. */
static int attach(struct tun *t, const char *name, struct ifreq *ifr)
{
	static const short variants[] = {
		IFF_TUN | IFF_NO_PI | IFF_VNET_HDR,
		IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE,
		IFF_TUN | IFF_NO_PI,
	};
	for (size_t i = 0; i < ARRAY_LEN(variants); i++) {
		if (set_interface(t->fd, name, variants[i], ifr) == 0) {
			t->has_vnet = (variants[i] & IFF_VNET_HDR) != 0;
			return 0;
		}
		if (errno != EINVAL)
			break;
	}
	return -1;
}

static enum tun_offload probe_offload(int fd)
{
	static const struct {
		unsigned long flags;
		enum tun_offload level;
	} tries[] = {
		{ TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6, TUN_OFFLOAD_ALL },
		{ TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN, TUN_OFFLOAD_TSO },
		{ TUN_F_CSUM, TUN_OFFLOAD_CSUM },
	};
	for (size_t i = 0; i < ARRAY_LEN(tries); i++)
		if (ioctl(fd, TUNSETOFFLOAD, tries[i].flags) == 0)
			return tries[i].level;
	return TUN_OFFLOAD_NONE;
}

/* What is read at once then leaves as one UDP message, arrives as one and is written as one: without it a 64 KiB super-packet makes one
 * message and a remainder at each of these steps. Best effort: it is only speed. */
static void limit_super_packets(u32 ifindex)
{
	struct nl_sock nl;
	struct nl_msg m;

	if (nl_open(&nl, NETLINK_ROUTE) != 0)
		return;
	nl_begin(&m, RTM_NEWLINK, 0);
	struct ifinfomsg *ifi = nl_header(&m, sizeof(*ifi));
	ifi->ifi_index = (int)ifindex;
	nl_put_u32(&m, IFLA_GSO_MAX_SEGS, TUN_GSO_SEGMENTS);
	(void)nl_request(&nl, &m);
	nl_close(&nl);
}

static int configure_link(struct tun *t, struct ifreq *ifr)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		s = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		return ERR_IO;
	int rc = ioctl(s, SIOCGIFINDEX, ifr);
	t->ifindex = (u32)ifr->ifr_ifindex;
	ifr->ifr_mtu = (int)TUNNEL_MTU;
	if (rc == 0)
		rc = ioctl(s, SIOCSIFMTU, ifr);
	ifr->ifr_qlen = (int)TUN_TXQUEUELEN;
	if (ioctl(s, SIOCSIFTXQLEN, ifr) != 0)
		log_warn("cannot set the queue length of the TUN device", kv_u("txqueuelen", TUN_TXQUEUELEN));
	close(s);
	return rc == 0 ? 0 : ERR_IO;
}

static int open_err(int e)
{
	switch (e) {
	case EPERM:
	case EACCES:
		return ERR_DENIED;
	case EBUSY:
		return ERR_EXISTS;
	case ENOENT:
		return ERR_NOT_FOUND;
	case ENODEV:
	case ENXIO:
		return ERR_UNSUPPORTED;
	default:
		return ERR_IO;
	}
}

int tun_open(struct tun **out, const char *name)
{
	struct ifreq ifr;
	struct tun *t = calloc(1, sizeof(*t));
	if (!t)
		return ERR_NOMEM;
	int rc;
	t->fd = open_node();
	if (t->fd < 0 || attach(t, name, &ifr) != 0)
		rc = open_err(errno);
	else
		rc = configure_link(t, &ifr);
	if (rc < 0) {
		tun_close(t);
		return rc;
	}
	if (t->has_vnet)
		t->offload = probe_offload(t->fd);
	if (t->offload >= TUN_OFFLOAD_TSO)
		limit_super_packets(t->ifindex);
	*out = t;
	return 0;
}

void tun_close(struct tun *t)
{
	if (!t)
		return;
	if (t->fd >= 0)
		close(t->fd);
	free(t);
}

int tun_fd(const struct tun *t)
{
	return t->fd;
}

u32 tun_ifindex(const struct tun *t)
{
	return t->ifindex;
}

enum tun_offload tun_offload(const struct tun *t)
{
	return t->offload;
}

const struct tun_stats *tun_stats(const struct tun *t)
{
	return &t->stats;
}

/* ---- packets ---- */

/* The kernel keeps the header in the host's order: it is a legacy virtio header. */
static u16 get_host16(const u8 *p)
{
	u16 v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static void put_host16(u8 *p, u16 v)
{
	memcpy(p, &v, sizeof(v));
}

static struct vnet decode_vnet(const u8 *p)
{
	return (struct vnet){
		.flags = p[0],
		.gso_type = p[1] & 0x7f, /* without VIRTIO_NET_HDR_GSO_ECN: the cutter looks at the TCP flags themselves */
		.hdr_len = get_host16(p + 2),
		.gso_size = get_host16(p + 4),
		.csum_start = get_host16(p + 6),
		.csum_offset = get_host16(p + 8),
	};
}

static void encode_vnet(u8 *p, const struct vnet *v)
{
	p[0] = v->flags;
	p[1] = v->gso_type;
	put_host16(p + 2, v->hdr_len);
	put_host16(p + 4, v->gso_size);
	put_host16(p + 6, v->csum_start);
	put_host16(p + 8, v->csum_offset);
}

int tun_read(struct tun *t, struct tun_pkt *out)
{
	u8 *packet = t->buf + TUN_HEADROOM + VNET_HDR;
	u32 hdr = t->has_vnet ? VNET_HDR : 0;
	for (;;) {
		ssize_t n = read(t->fd, packet - hdr, RX_BUFFER + hdr);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? ERR_AGAIN : ERR_CLOSED;
		if ((size_t)n <= hdr) {
			t->stats.rx_invalid++;
			continue;
		}
		*out = (struct tun_pkt){ .data = packet, .len = (u32)n - hdr, .has_headroom = true };
		if (t->has_vnet)
			out->vnet = decode_vnet(packet - VNET_HDR);
		t->stats.rx_packets++;
		t->stats.rx_bytes += out->len;
		t->stats.rx_super += out->vnet.gso_type != VNET_GSO_NONE;
		return 0;
	}
}

/* A packet of several pieces, or one whose header has no room before it. */
static ssize_t write_pieces(struct tun *t, const struct tun_pkt *pkt)
{
	struct iovec iov[1 + TUN_PIECES_MAX];
	u8 hdr[VNET_HDR];
	int n = 0;

	if (pkt->has_headroom) {
		encode_vnet(pkt->data - VNET_HDR, &pkt->vnet);
		iov[n++] = (struct iovec){ pkt->data - VNET_HDR, (pkt->more ? pkt->head : pkt->len) + VNET_HDR };
	} else {
		encode_vnet(hdr, &pkt->vnet);
		iov[n++] = (struct iovec){ hdr, VNET_HDR };
		iov[n++] = (struct iovec){ pkt->data, pkt->more ? pkt->head : pkt->len };
	}
	for (const struct tun_piece *p = pkt->more; p && n < (int)ARRAY_LEN(iov); p = p->next)
		iov[n++] = (struct iovec){ (void *)(uintptr_t)p->data, p->len };
	return writev(t->fd, iov, n);
}

static ssize_t write_packet(struct tun *t, const struct tun_pkt *pkt)
{
	if (!t->has_vnet)
		return write(t->fd, pkt->data, pkt->len);
	if (pkt->more || !pkt->has_headroom)
		return write_pieces(t, pkt);
	encode_vnet(pkt->data - VNET_HDR, &pkt->vnet);
	return write(t->fd, pkt->data - VNET_HDR, pkt->len + VNET_HDR);
}

int tun_write(struct tun *t, const struct tun_pkt *pkt)
{
	ssize_t n;
	if (!t->has_vnet && (pkt->vnet.gso_type != VNET_GSO_NONE || pkt->vnet.flags & VNET_NEEDS_CSUM)) {
		t->stats.tx_errors++;
		return ERR_UNSUPPORTED;
	}
	do
		n = write_packet(t, pkt);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		if (errno == EAGAIN)
			return ERR_AGAIN;
		t->stats.tx_errors++;
		return ERR_IO;
	}
	t->stats.tx_packets++;
	t->stats.tx_bytes += pkt->len;
	t->stats.tx_super += pkt->vnet.gso_type != VNET_GSO_NONE;
	return 0;
}
