/* applets/common/health.h: answers supervisors and load balancers: GET /healthz and /readyz (spec 40 §1.2, spec 50).
 *
 * /healthz is 200 as long as the loop turns; /readyz is 200 or 503 as `is_ready` says. Anything else is 404. One request per connection,
 * at most HEALTH_CONNS_MAX at a time, each given HEALTH_TIMEOUT; a further one waits in the backlog.
 */
#pragma once

#include "core/ip/addr.h"
#include "core/loop/loop.h"

#define HEALTH_CONNS_MAX 8u
#define HEALTH_TIMEOUT SEC(5)
#define HEALTH_REQUEST_MAX 4096u

struct health;

/* NULL with the reason in *rc when the address cannot be served; is_ready NULL: always ready. */
struct health *health_open(struct loop *l, const struct endpoint *listen, bool (*is_ready)(void *ctx), void *ctx, int *rc);
void health_close(struct health *h); /* NULL is allowed */
