/* applets/common/dial.h: from host and port to a connected socket, on the loop: the name's addresses (platform/resolver.h), then a race of
 * all of them (platform/tcp.h).
 *
 *   dial_start() ──▶ [name] ── addresses ──▶ [race] ── the first that answers ──▶ done(fd)
 *          └── a literal ───────────────────────▲ └── all fail, or time is over ──▶ done(error)
 *               no such name, no server, none of the addresses is allowed ───────────▲
 *
 * A dialler has one resolver for any number of dials; a dial is the caller's memory and may be used again once it is over. `done` is called
 * exactly once, from the loop and never from inside dial_start(), as the last thing that happens to the dial: it may free dial and dialler.
 * After dial_cancel() it is not called.
 */
#pragma once

#include "core/loop/loop.h"
#include "platform/resolver.h"
#include "platform/tcp.h"

struct dialler;

struct dialler_config {
	struct loop *loop; /* borrowed */
	bool needs_no_names; /* all hosts will be literals: no resolver is made */
	struct resolver_config resolver;
};

enum dial_step {
	DIAL_NAME,    /* ERR_INVAL: no host name; ERR_NOT_FOUND, ERR_TIMEOUT, ERR_UNSUPPORTED, ERR_LIMIT, ERR_IO: as platform/resolver.h */
	DIAL_ALLOWED, /* ERR_DENIED: `refuses` left no address */
	DIAL_RACE,    /* ERR_TIMEOUT, ERR_NOMEM, and the reasons of platform/tcp.h */
};

struct dial_result {
	int fd; /* connected, non-blocking, now the callee's; -1: failed */
	int error;
	enum dial_step step; /* where it failed */
	struct endpoint peer; /* of the connection */
};

struct dial_request {
	const char *host; /* borrowed until it is over, as is nothing else */
	u16 port;
	u32 mark; /* of the connection; 0 = none */
	u64 race_timeout; /* of the race alone; the resolver has its own */
	bool (*refuses)(void *ctx, const struct ip *ip); /* NULL: every address may be connected to */
	void (*done)(void *ctx, const struct dial_result *r);
	void *ctx;
};

struct dial { /* zeroed by its owner before the first start; all of it is private */
	struct dialler *dialler;
	struct dial_request rq;
	enum { DIAL_IDLE, DIAL_LOOKING_UP, DIAL_RACING, DIAL_OVER } phase;
	u64 lookup_id;
	struct tcp_race race;
	struct loop_fd *watch;
	struct loop_timer timer;
	struct loop_task task;
	struct dial_result result;
};

struct dialler *dialler_new(const struct dialler_config *cfg); /* NULL: out of memory or descriptors */
void dialler_free(struct dialler *d); /* its dials are over or cancelled; NULL is allowed */
void dialler_set_servers(struct dialler *d, const struct ip *servers, size_t n); /* as resolver_set_servers() */

/* Only when it is not under way. Failures are told by `done`. */
void dial_start(struct dialler *d, struct dial *x, const struct dial_request *rq);
void dial_cancel(struct dial *x); /* also when nothing is under way */

bool dial_is_literal(const char *host);
/* What went wrong, to follow a name and a colon: "the connection is refused". */
const char *dial_reason(const struct dial_result *r);
