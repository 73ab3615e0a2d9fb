/* One inner packet: parse it, and if it stands, quote it in an ICMP error and parse that again. */
#include "core/ip/icmp.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct packet p, reply, quoted;
	u8 out[ICMP_REPLY_MAX];

	if (packet_parse(data, size, TUNNEL_MTU, &p))
		return 0;
	if (p.len > size || p.l4 > p.len)
		abort();
	if (packet_parse_quoted(data, &p, &quoted) == 0 && quoted.len >= p.len)
		abort();
	if (packet_is_control(&p) && p.len < 48)
		abort();
	u32 n = icmp_reply(ICMP_FILTERED, data, &p, out);
	if (packet_parse(out, n, TUNNEL_MTU, &reply) || !packet_is_prohibited(&reply))
		abort();
	if (packet_parse_quoted(out, &reply, &quoted) == 0 && quoted.len > p.len)
		abort();
	return 0;
}
