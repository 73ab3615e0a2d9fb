/* Control messages: the input is the packet. What can be read can be written, and then reads the same. */
#include "core/tunnel/control.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

static void assigned(const uint8_t *data, const struct packet *p)
{
	static struct control_assigned m, again;
	u8 out[TUNNEL_MTU];
	struct packet q;
	if (control_read_assigned(data, p, &m))
		return;
	u32 len = control_write_assigned(&m, out);
	if (len == 0)
		return;
	if (packet_parse(out, len, TUNNEL_MTU, &q) || !packet_is_control(&q) || control_read_assigned(out, &q, &again))
		abort();
	if (!uuid_eq(&m.resource, &again.resource) || m.domain.len != again.domain.len || memcmp(m.domain.wire, again.domain.wire, m.domain.len) ||
	    m.n_proxies != again.n_proxies || memcmp(m.proxies, again.proxies, m.n_proxies * sizeof(m.proxies[0])))
		abort();
}

static void status(const uint8_t *data, const struct packet *p)
{
	static struct control_status m, again;
	u8 out[TUNNEL_MTU];
	struct packet q;
	if (control_read_status(data, p, &m))
		return;
	u32 len = control_write_status(&m, out);
	if (len == 0)
		return;
	if (packet_parse(out, len, TUNNEL_MTU, &q) || control_read_status(out, &q, &again))
		abort();
	if (m.is_active != again.is_active || m.domain.len != again.domain.len || memcmp(m.domain.wire, again.domain.wire, m.domain.len))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct packet p;
	if (packet_parse(data, size, TUNNEL_MTU, &p) || !packet_is_control(&p))
		return 0;
	if (control_event(data) == CONTROL_ASSIGNED_IPS)
		assigned(data, &p);
	else
		status(data, &p);
	return 0;
}
