/* applets/common/health.h: answers supervisors and load balancers: GET /healthz and /readyz (spec 40 §1.2, spec 50 §7.2).
 *
 * /healthz is 200 as long as the loop turns; /readyz is 200 or 503 as `is_ready` says. Anything else is 404.
 */
#pragma once

#include "applets/common/httpd.h"

struct health;

/* NULL with the reason in *rc when the address cannot be served; is_ready NULL: always ready. */
struct health *health_open(struct loop *l, const struct endpoint *listen, bool (*is_ready)(void *ctx), void *ctx, int *rc);
void health_close(struct health *h); /* NULL is allowed */
int health_local(const struct health *h, struct endpoint *out);
