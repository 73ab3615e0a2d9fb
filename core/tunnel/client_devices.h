/* core/tunnel/client_devices.h: other clients as peers of a client (spec 30 §6.4); for the files client*.c only. The story is told in
 * client_devices.c. */
#pragma once

#include "core/tunnel/client_state.h"

#define DEVICE_PEERS_MAX 4096u /* connected at a time */
#define INTENT_SPAN SEC(30)    /* packets wait so long for an answer after the last of them */

struct devices *devices_new(struct rng *rng); /* NULL: out of memory */
void devices_free(struct client *c);

/* --- packets: an address of a peer that is no gateway's */
/* The connected client with this tunnel address, or NULL. Valid until the next call of a function that takes messages, events or time. */
const struct uuid *device_at(const struct client *c, const struct ip *ip);
/* Nobody is connected under the destination: keeps the packets and asks for the device; IPv6 cannot be asked for. */
void device_wanted(struct client *c, struct segmenter *s);
/* Whether a packet from this source may come from that client. */
bool device_sends(const struct client *c, const struct uuid *id, const struct ip *src);

/* --- messages */
void device_authorized(struct client *c, u64 wall, const struct msg_device_access_authorized *m);
void device_denied(struct client *c, const struct msg_device_access_denied *m);
void device_candidates(struct client *c, const struct msg_ice_candidates *m, bool is_added);
bool device_intent_poll(struct client *c, struct client_event *out);

/* --- events and time */
/* True when the event was of a client's connection, and has been dealt with. */
bool device_node_event(struct client *c, const struct node_event *e);
/* Forgets a client whose connection is gone; false when it was none. */
bool device_lost(struct client *c, const struct uuid *id);
void devices_resume(struct client *c, u64 wall); /* a relay may have answered */
void devices_timeout(struct client *c, u64 wall);
u64 devices_next_timeout(const struct client *c);
void devices_reset(struct client *c);
size_t devices_count(const struct client *c);
