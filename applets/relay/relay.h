/* applets/relay/relay.h: the TURN server of core/turn on real sockets.
 *
 * Per family two sockets listen, one for ChannelData and one for STUN alone, so that a flood of data never queues in front of requests;
 * each allocation has a socket per family. Every descriptor is watched by the loop and gets one batch per turn: the busy ones cannot
 * starve the quiet ones, nor timers, portal and signals.
 */
#pragma once

#include "applets/relay/settings.h"
#include "core/loop/loop.h"
#include "platform/relay_udp.h"

struct relay;

/* Binds, then serves as soon as the loop runs. `secret`: 64 hex digits under Firezone's rules, else NULL. On failure prints the reason
 * and what can be done, and returns NULL. */
struct relay *relay_new(struct loop *loop, const struct settings *s, struct rng *rng, const char *secret);
void relay_free(struct relay *r);

const struct turn_server_stats *relay_stats(const struct relay *r);
