/* applets/portal/admin_socket.h: DIR/admin.sock, where a serving portal takes admin requests (frames: admin/admin.h).
 *
 * One request per connection, one after another, and "portal backup" (copying.h); only the portal's own user can reach it. A connection that says nothing for 10 s is closed.
 */
#pragma once

#include "applets/portal/http/server.h"

#define ADMIN_CONNS_MAX 32u
#define ADMIN_CONN_TIMEOUT SEC(10)

struct admin_socket;

/* The lock of the state directory must be held: a socket file that is there is a leftover. */
int admin_socket_open(struct server *s, struct admin_socket **out, char *why, size_t why_size) MUST_CHECK;
void admin_socket_close(struct admin_socket *a);
