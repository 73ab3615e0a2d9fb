/* platform/linux/dbus.h: a listener on the system bus: signals that match given rules, nothing else.
 *
 *      [closed] ── dbus_open ──▶ [auth] ── OK ──▶ [greeting] ── Hello and every AddMatch answered ──▶ [listening]
 *          ▲                       │                  │                                                   │
 *          └───────────────────────┴──────────────────┴──── closed, refused, malformed, over-long ────────┘
 *
 * A Unix socket without blocking, EXTERNAL authentication with our uid. What the bus takes at once is all we ever send (some hundred bytes),
 * so there is no queue for writing. Files and replies to calls are not supported: we make no calls but these.
 */
#pragma once

#include "platform/linux/dbus_wire.h"

#include <sys/un.h>

#define DBUS_RULES_MAX 4u
#define DBUS_RULE_BYTES 256u
#define DBUS_READS_MAX 16u /* reads per dbus_input(); the descriptor stays readable when there is more */
#define DBUS_SYSTEM_BUS "unix:path=/run/dbus/system_bus_socket"

enum dbus_state { DBUS_CLOSED, DBUS_AUTH, DBUS_GREETING, DBUS_LISTENING };

struct dbus {
	enum dbus_state state;
	int fd; /* -1: closed; watch for reading */
	const char *const *rules; /* borrowed, NULL terminated */
	unsigned answers, n_rules;
	void (*on_signal)(void *ctx, const struct dbus_message *m);
	void *ctx;
	size_t n;
	u8 buf[DBUS_MESSAGE_MAX];
};

/* `address` as in DBUS_SYSTEM_BUS_ADDRESS: a list of which the first reachable unix:path= or unix:abstract= is taken. Rules: at most
 * DBUS_RULES_MAX. ERR_NOT_FOUND: no such socket in it. ERR_CLOSED: nobody listens. ERR_DENIED, ERR_IO. */
int dbus_open(struct dbus *d, const char *address, const char *const *rules, void (*on_signal)(void *ctx, const struct dbus_message *m),
	      void *ctx) MUST_CHECK;
void dbus_close(struct dbus *d);

/* 0, or the reason to close: ERR_CLOSED, ERR_AUTH, ERR_DENIED (a rule was refused), ERR_MALFORMED, ERR_LIMIT, ERR_IO. */
int dbus_input(struct dbus *d) MUST_CHECK;

/* The next unix socket of an address list: *list moves on. False: none is left. */
bool dbus_next_address(const char **list, struct sockaddr_un *out, size_t *len);
