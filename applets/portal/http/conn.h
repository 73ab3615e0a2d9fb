/* applets/portal/http/conn.h: one TCP connection: TLS if asked for, HTTP requests one after another until an upgrade, then a peer of the hub.
 *
 *   accepted ──▶ [head] ──upgrade──▶ [waiting] ──▶ [socket] ───────┐
 *                 │  ▲ └──refused, not understood───────────┐      │ peer gone
 *                 ▼  │ kept alive                           ▼      ▼
 *              [body]│                                   [closing] ──▶ freed
 *                 └─▶[answering]──written, not kept alive───▲
 *
 * Requests that are sent ahead wait, CONN_AHEAD_MAX bytes of them, then the socket is not read. A head has CONN_HEAD_TIMEOUT from the
 * connect or its first byte, a body CONN_BODY_TIMEOUT and a second more for each CONN_BODY_RATE bytes that came, a peer that takes nothing
 * of an answer CONN_WRITE_TIMEOUT; between requests it may be silent for CONN_IDLE_TIMEOUT. Memory of a silent connection: this struct, and
 * what TLS needs; the parser is there while a request is.
 */
#pragma once

#include "applets/portal/http/server.h"

#define CONNS_MAX 65536u
#define CONN_HEAD_TIMEOUT SEC(15)
#define CONN_IDLE_TIMEOUT SEC(30)
#define CONN_BODY_TIMEOUT SEC(15)
#define CONN_BODY_RATE 4096u	 /* bytes per second, the slowest that is waited for */
#define CONN_WRITE_TIMEOUT SEC(60)
#define CONN_ANSWER_TIMEOUT MINUTES(3) /* for a page that answers later; then it is 503 */
#define CONN_CLOSING_TIMEOUT SEC(5)
#define CONN_AHEAD_MAX 32768u
#define CONN_UPGRADES_PER_TURN 4u /* some 1 ms: pages come between */
#define CONN_CROWD_TOLD MINUTES(1) /* between warnings that one address has too many */
#define CONN_TURN_TIME MSEC(5)	    /* of a turn of the loop, then sockets wait for the next */

/* Takes over the descriptor; closes it when there is no memory, or when its address has too many open (crowd.h, serve_config.conns_per_address). */
void conn_open(struct server *s, int fd, const struct endpoint *peer);

/* The task of server.h. */
void conn_upgrade_some(void *server, u64 now);

/* The hub has something for it (hub_config.wants_service). */
void conn_service(void *server, void *conn);

/* The portal is going down: closes connections that wait for a request, lets the others finish theirs. Sockets are the hub's business. */
void conn_stop_all(struct server *s);
/* Streams end; deferred answers too become 503. */
void conn_end_streams(struct server *s);
void conn_give_up_all(struct server *s);
/* Closes everything at once. */
void conn_free_all(struct server *s);
