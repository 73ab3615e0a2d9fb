/* core/tunnel/convert.h: what client and gateway translate alike between messages, packets and the node. */
#pragma once

#include "core/peer/node.h"
#include "core/phoenix/messages.h"
#include "core/tunnel/outbox.h"
#include "core/tunnel/stats.h"

/* A copy for free(); NULL: out of memory. */
char *text_copy(const char *text);

/* ERR_LIMIT when a text is longer than a node takes. */
int ice_from_message(struct ice_credentials *out, const struct msg_ice *in) MUST_CHECK;

/* Hands relays of a message to the node; those it cannot take are named in the log. `remove` may be NULL. */
void relays_from_message(struct node *n, u64 now, const struct msg_ids *remove, const struct msg_relays *add);

/* Each candidate by itself: what does not parse or belongs to nobody is only logged (spec 10 §3.5). */
void candidates_from_message(struct node *n, u64 now, const struct msg_ice_candidates *m, bool is_added);

/* Candidates of an event into the outbox, as a message of that type; what does not fit is counted and said. */
void signal_candidates(struct outbox *o, struct tunnel_stats *stats, enum msg_type type, const struct node_event *e);

/* Why packet_parse() or segment_init() refused. */
enum tunnel_drop drop_of_error(int err);

/* How many of the runs rx[0..n) one node_input() may take at most, at least one. */
size_t rx_chunk(const struct udp_rx *rx, size_t n);
