/* core/tunnel/control.h: control messages between peers, inside the tunnel (spec 30 §7.1, spec 40 §9.1).
 *
 * An IPv6 packet from :: to :: with next header 255; the first byte of its payload is the event, seven reserved bytes follow. Goodbyes are made by
 * core/peer. Unknown events are ignored; they never reach the TUN.
 */
#pragma once

#include "core/ip/packet.h"

#define CONTROL_GOODBYE 2u

/* The event of a packet for which packet_is_control() holds. */
static inline u8 control_event(const u8 *data)
{
	return data[40];
}
