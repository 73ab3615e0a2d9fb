#include "core/tunnel/outbox.h"

#include "core/tunnel/convert.h"

#include <stdlib.h>

struct outbox_entry {
	struct outbox_entry *next;
	struct portal_message m;
	struct uuid peer;
	char *text; /* the ref, or n candidates */
	size_t n;
	const char **pointers;
	struct msg_connection *connections;
};

void outbox_init(struct outbox *o)
{
	*o = (struct outbox){ .last = &o->first };
}

static void entry_free(struct outbox_entry *e)
{
	if (!e)
		return;
	free(e->text);
	free(e->pointers);
	free(e->connections);
	free(e);
}

void outbox_deinit(struct outbox *o)
{
	while (o->first) {
		struct outbox_entry *e = o->first;
		o->first = e->next;
		entry_free(e);
	}
	entry_free(o->polled);
	*o = (struct outbox){ .last = &o->first };
}

static bool is_equal(const struct outbox_entry *a, const struct outbox_entry *b)
{
	if (a->m.type != b->m.type || a->m.type == MSG_CONNECTIONS_REPORT || a->n != b->n || !uuid_eq(&a->peer, &b->peer))
		return false;
	if (a->m.type == MSG_FLOW_AUTHORIZED)
		return strcmp(a->text, b->text) == 0;
	return a->n == 0 || memcmp(a->text, b->text, a->n * CANDIDATE_STRLEN) == 0;
}

/* Takes the entry over. */
static int push(struct outbox *o, struct outbox_entry *e)
{
	for (const struct outbox_entry *i = o->first; i; i = i->next)
		if (is_equal(i, e)) {
			entry_free(e);
			return 0;
		}
	if (o->count == OUTBOX_MAX) {
		entry_free(e);
		return ERR_LIMIT;
	}
	*o->last = e;
	o->last = &e->next;
	o->count++;
	return 0;
}

int outbox_candidates(struct outbox *o, enum msg_type type, const struct uuid *peer, const char (*candidates)[CANDIDATE_STRLEN], size_t n)
{
	struct outbox_entry *e = calloc(1, sizeof(*e));
	if (!e)
		return ERR_NOMEM;
	e->peer = *peer;
	e->n = n;
	e->text = calloc(n ? n : 1, CANDIDATE_STRLEN);
	e->pointers = calloc(n ? n : 1, sizeof(*e->pointers));
	if (!e->text || !e->pointers) {
		entry_free(e);
		return ERR_NOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		char *to = e->text + i * CANDIDATE_STRLEN;
		memcpy(to, candidates[i], strnlen(candidates[i], CANDIDATE_STRLEN - 1));
		e->pointers[i] = to;
	}
	e->m.type = type;
	struct msg_candidates list = { e->pointers, n };
	if (type == MSG_BROADCAST_ICE_CANDIDATES || type == MSG_BROADCAST_INVALIDATED_ICE_CANDIDATES)
		e->m.broadcast = (struct msg_broadcast){ { &e->peer, 1 }, list };
	else
		e->m.candidates = (struct msg_ice_candidates){ *peer, list };
	return push(o, e);
}

int outbox_flow_authorized(struct outbox *o, const char *ref)
{
	struct outbox_entry *e = calloc(1, sizeof(*e));
	if (!e || !(e->text = text_copy(ref))) {
		free(e);
		return ERR_NOMEM;
	}
	e->m.type = MSG_FLOW_AUTHORIZED;
	e->m.flow_authorized.ref = e->text;
	return push(o, e);
}

int outbox_no_relays(struct outbox *o)
{
	struct outbox_entry *e = calloc(1, sizeof(*e));
	if (!e)
		return ERR_NOMEM;
	e->m.type = MSG_NO_RELAYS;
	return push(o, e);
}

int outbox_report(struct outbox *o, const struct msg_connection *c, size_t n)
{
	struct outbox_entry *e = calloc(1, sizeof(*e));
	if (!e || !(e->connections = calloc(n ? n : 1, sizeof(*c)))) {
		free(e);
		return ERR_NOMEM;
	}
	if (n > 0)
		memcpy(e->connections, c, n * sizeof(*c));
	e->m.type = MSG_CONNECTIONS_REPORT;
	e->m.connections_report = (struct msg_connections_report){ e->connections, n };
	return push(o, e);
}

const struct portal_message *outbox_poll(struct outbox *o)
{
	entry_free(o->polled);
	o->polled = o->first;
	if (!o->first)
		return NULL;
	o->first = o->polled->next;
	if (!o->first)
		o->last = &o->first;
	o->count--;
	return &o->polled->m;
}

static void forget(struct outbox *o, bool (*is_it)(const struct outbox_entry *e, const struct uuid *peer), const struct uuid *peer)
{
	struct outbox_entry **link = &o->first;
	while (*link) {
		struct outbox_entry *e = *link;
		if (is_it(e, peer)) {
			*link = e->next;
			entry_free(e);
			o->count--;
		} else {
			link = &e->next;
		}
	}
	o->last = link;
}

static bool is_of_peer(const struct outbox_entry *e, const struct uuid *peer)
{
	return e->n > 0 && uuid_eq(&e->peer, peer);
}

void outbox_forget(struct outbox *o, const struct uuid *peer)
{
	forget(o, is_of_peer, peer);
}

static bool is_report(const struct outbox_entry *e, const struct uuid *peer)
{
	(void)peer;
	return e->m.type == MSG_CONNECTIONS_REPORT;
}

void outbox_forget_reports(struct outbox *o)
{
	forget(o, is_report, NULL);
}
