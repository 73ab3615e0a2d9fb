/* applets/portal/outbound/fetch_int.h: what a fetch and the connection under it know of each other.
 *
 *   wire:  [dial] ──▶ [open] ◀──▶ [idle]          every failure ends in wire_free() and fetch_failed()
 */
#pragma once

#include "applets/common/dial.h"
#include "applets/portal/outbound/fetch.h"
#include "core/base/strbuf.h"
#include "core/http/tls.h"
#include "core/http/url.h"

enum wire_phase { WIRE_DIAL, WIRE_OPEN, WIRE_IDLE };

struct wire {
	struct fetcher *fetcher;
	struct wire *next, **link;
	struct fetch *fetch; /* NULL: idle */
	enum wire_phase phase;
	char host[HOST_MAX + 1];
	u16 port;
	bool is_tls, is_reused, has_input, has_excess;
	struct dial dial;
	int fd;
	struct loop_fd *watch;
	struct tls *tls;
	struct http_parser *parser;
	size_t sent; /* of the request */
	struct loop_timer timer; /* of idleness */
};

struct fetch {
	struct fetcher *fetcher;
	struct fetch *next, **link; /* in the queue or among those under way */
	struct wire *wire;	    /* NULL: queued */
	char host[HOST_MAX + 1];
	u16 port;
	bool is_tls, is_post, must_dial;
	struct strbuf request, body;
	size_t body_max;
	fetch_done *done;
	void *ctx;
	struct loop_timer timer;
};

struct fetcher {
	struct loop *loop;
	struct rng *rng;
	char *ca_file;
	bool allow_internal;
	struct tls_anchors *anchors;
	struct dialler *dialler;
	struct loop_task pump;
	struct fetch *queue, **queue_end, *busy;
	u32 n_queue, n_busy;
	struct wire *wires;
	u32 n_idle;
	struct fetch_stats stats;
};

/* Gives the fetch, which is in no list, a connection, kept or new. May end it at once by fetch_failed(). */
void wire_begin(struct fetch *x);
/* Closes whatever it has; its fetch, if any, is on its own afterwards. */
void wire_free(struct wire *w);

/* The two belong together from now on. */
void fetch_is_busy(struct fetch *x, struct wire *w);
/* Each is on its own again; the fetch is in no list. */
void fetch_detach(struct fetch *x);
/* Ends the fetch: calls `done`, frees it. The wire is not touched. */
void fetch_failed(struct fetch *x, int err, const char *fmt, ...) PRINTF_LIKE(3, 4);
void fetch_answered(struct fetch *x, const struct http_head *head);
/* A detached one: back to the head of the queue, for a connection of its own. */
void fetch_again(struct fetch *x);
