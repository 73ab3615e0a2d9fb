#define LOG_TARGET "tunnel"
#include "core/tunnel/convert.h"

#include "core/base/err.h"
#include "core/base/log.h"

#include <sodium.h>
#include <stdlib.h>

char *text_copy(const char *text)
{
	size_t n = strlen(text) + 1;
	char *copy = malloc(n);
	if (copy)
		memcpy(copy, text, n);
	return copy;
}

int ice_from_message(struct ice_credentials *out, const struct msg_ice *in)
{
	size_t user = strlen(in->username), password = strlen(in->password);
	if (user >= sizeof(out->ufrag) || password >= sizeof(out->pwd))
		return ERR_LIMIT;
	memset(out, 0, sizeof(*out));
	memcpy(out->ufrag, in->username, user);
	memcpy(out->pwd, in->password, password);
	return 0;
}

void relays_from_message(struct node *n, u64 now, const struct msg_ids *remove, const struct msg_relays *add)
{
	struct node_relay relays[MSG_RELAYS_MAX];
	size_t count = 0;

	for (size_t i = 0; i < add->n; i++) {
		const struct msg_relay *m = &add->relay[i];
		size_t user = strlen(m->username), password = strlen(m->password);
		if (count == MSG_RELAYS_MAX || user >= sizeof(relays->username) || password >= sizeof(relays->password)) {
			log_warn("relay is left out", kv_uuid("relay", &m->id));
			continue;
		}
		struct node_relay *r = &relays[count++];
		*r = (struct node_relay){ .id = m->id, .v4 = m->v4, .v6 = m->v6 };
		memcpy(r->username, m->username, user);
		memcpy(r->password, m->password, password);
	}
	node_update_relays(n, now, remove ? remove->id : NULL, remove ? remove->n : 0, relays, count);
	sodium_memzero(relays, sizeof(relays));
}

void candidates_from_message(struct node *n, u64 now, const struct msg_ice_candidates *m, bool is_added)
{
	for (size_t i = 0; i < m->candidates.n; i++) {
		struct span text = SPAN(m->candidates.text[i], strlen(m->candidates.text[i]));
		int rc = is_added ? node_add_candidate(n, now, &m->id, text) : node_remove_candidate(n, now, &m->id, text);
		if (rc)
			log_debug("candidate is left out", kv_uuid("peer", &m->id), kv_sn("candidate", text), kv_err(rc));
	}
}

void signal_candidates(struct outbox *o, struct tunnel_stats *stats, enum msg_type type, const struct node_event *e)
{
	if (outbox_candidates(o, type, &e->id, e->candidates, e->n_candidates) == 0)
		return;
	stats->messages_refused++;
	log_warn("candidates are lost, too much waits for the portal", kv_uuid("peer", &e->id));
}

enum tunnel_drop drop_of_error(int err)
{
	return err == ERR_UNSUPPORTED ? DROP_FRAGMENT : err == ERR_LIMIT ? DROP_OVERSIZE : DROP_MALFORMED;
}

static size_t packets_in(const struct udp_rx *rx)
{
	return rx->seg ? rx->len / rx->seg + 1 : 1;
}

size_t rx_chunk(const struct udp_rx *rx, size_t n)
{
	size_t end = 1, packets = packets_in(rx);
	while (end < n && packets + packets_in(&rx[end]) <= NODE_RX_PACKETS_MAX)
		packets += packets_in(&rx[end++]);
	return end;
}
