/* applets/portal/conn.h: one TCP connection: TLS if asked for, HTTP until the upgrade, then a peer of the hub (serve.h shows the states).
 */
#pragma once

#include "applets/portal/admin/admin.h"
#include "applets/portal/serve.h"
#include "core/http/tls.h"
#include "core/loop/loop.h"

#define CONNS_MAX 65536u
#define CONN_OPENING_TIMEOUT SEC(15) /* TLS and request head; a slow one must not hold a descriptor */
#define CONN_CLOSING_TIMEOUT SEC(5)

struct conn;

struct server {
	struct loop *loop;
	struct portal *portal;
	const struct serve_config *cfg;
	struct tls_identity *identity; /* NULL: plain text */
	struct conn *conns;	       /* list of all */
	u32 n_conns;
	bool is_stopping;
	void (*changed)(struct server *s); /* the hub's next deadline may have moved */
};

/* Takes over the descriptor; closes it when there is no memory. */
void conn_open(struct server *s, int fd, const struct endpoint *peer);

/* The hub has something for it (hub_config.wants_service). */
void conn_service(void *server, void *conn);

/* Closes everything at once. */
void conn_free_all(struct server *s);
