/* core/tunnel/outbox.h: messages for the portal that wait until somebody polls them or until the portal is back.
 *
 * First in, first out; an exact duplicate of a waiting message is not queued twice (spec 30 §14). Texts are copied. At most OUTBOX_MAX; then
 * the newest is refused and counted by the caller.
 */
#pragma once

#include "core/peer/node.h"
#include "core/phoenix/messages.h"

#define OUTBOX_MAX 4096u

struct outbox_entry;

struct outbox {
	struct outbox_entry *first, **last;
	struct outbox_entry *polled; /* what the last poll lent out */
	u32 count;
};

void outbox_init(struct outbox *o);
void outbox_deinit(struct outbox *o);

/* Each: ERR_LIMIT, ERR_NOMEM. The type says which message carries the candidates of `peer`: MSG_NEW_GATEWAY_ICE_CANDIDATES and its likes, or a
 * MSG_BROADCAST_* to that one client. */
int outbox_candidates(struct outbox *o, enum msg_type type, const struct uuid *peer, const char (*candidates)[CANDIDATE_STRLEN], size_t n);
int outbox_flow_authorized(struct outbox *o, const char *ref);
int outbox_no_relays(struct outbox *o);
/* At most MSG_REPORTED_MAX connections. */
int outbox_report(struct outbox *o, const struct msg_connection *c, size_t n);

/* The next message, borrowed until the next call of any function here; NULL when there is none. */
const struct portal_message *outbox_poll(struct outbox *o);
/* Forgets candidates waiting for a peer whose connection is gone. */
void outbox_forget(struct outbox *o, const struct uuid *peer);
/* Forgets reports: another portal may not want them. */
void outbox_forget_reports(struct outbox *o);
