/* A TUN read: ten bytes of virtio header as the kernel lays them out (little endian), then the packet. What can be cut is cut, and the pieces are
 * coalesced again; each piece must parse and none may exceed the MTU. */
#include "core/base/cursor.h"
#include "core/ip/coalesce.h"
#include "core/ip/segment.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#define PIECES_MAX 256u
#define STRIDE (16u + TUNNEL_MTU + 16u)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static u8 memory[PIECES_MAX * STRIDE], whole[SUPER_PACKET_MAX];
	static struct coalescer *c;
	struct segmenter s;
	u32 len, total = 0;
	size_t count;

	if (!c && !(c = coalesce_new()))
		return 0;
	if (size < 10 || size > 70000)
		return 0;
	u8 *copy = malloc(size - 10 + 1); /* exact, so that a read beyond the end is seen */
	if (!copy)
		return 0;
	memcpy(copy, data + 10, size - 10);
	struct tun_pkt t = { .data = copy, .len = (u32)(size - 10) };
	t.vnet = (struct vnet){ .flags = data[0], .gso_type = data[1], .hdr_len = (u16)(data[2] | data[3] << 8),
				.gso_size = (u16)(data[4] | data[5] << 8), .csum_start = (u16)(data[6] | data[7] << 8),
				.csum_offset = (u16)(data[8] | data[9] << 8) };
	coalesce_reset(c);
	if (segment_init(&s, &t) == 0) {
		for (u32 i = 0; i < PIECES_MAX && (len = segment_next_len(&s)) > 0; i++) {
			struct packet p;
			u8 *slot = memory + i * STRIDE + 16;
			if (len > TUNNEL_MTU)
				abort();
			segment_write(&s, slot);
			if (packet_parse(slot, len, TUNNEL_MTU, &p) || p.len != len)
				abort();
			coalesce_add(c, slot, &p);
		}
		coalesce_finish(c);
		struct tun_pkt *out = coalesce_out(c, &count);
		for (size_t i = 0; i < count; i++) {
			if (out[i].len > sizeof(whole))
				abort();
			(void)tun_pkt_gather(&out[i], whole);
			total += out[i].len;
		}
		if (total > PIECES_MAX * TUNNEL_MTU)
			abort();
	}
	free(copy);
	return 0;
}
