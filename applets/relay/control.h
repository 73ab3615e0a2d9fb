/* applets/relay/control.h: HTTP on a local port, to change what is logged while the relay runs (spec 50 §7.3):
 *
 *	curl -X POST 'http://127.0.0.1:9999/log_filter?directives=relay=debug'      200, or 400 for a filter that is not understood
 *
 * One connection at a time, one request each, CONTROL_TIMEOUT to make it.
 */
#pragma once

#include "core/ip/addr.h"
#include "core/loop/loop.h"

#define CONTROL_TIMEOUT SEC(5)
#define CONTROL_REQUEST_MAX 2048u
#define CONTROL_FILTER_MAX 1024u

struct control;

/* `apply`: 0 when the filter was understood. NULL with the reason in *rc. */
struct control *control_open(struct loop *l, const struct endpoint *listen, int (*apply)(void *ctx, const char *filter), void *ctx,
			     int *rc);
void control_close(struct control *c); /* NULL is allowed */

/* The value of `directives` in "POST /log_filter?… HTTP/1.1", percent-decoded. ERR_NOT_FOUND: another request; ERR_MALFORMED. */
int control_parse(struct span request, char filter[static CONTROL_FILTER_MAX]);
