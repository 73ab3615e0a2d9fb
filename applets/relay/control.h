/* applets/relay/control.h: HTTP on a local port, for the operator of a running relay (spec 50 §7.3, §7.5):
 *
 *	curl -X POST 'http://127.0.0.1:9999/log_filter?directives=relay=debug'      200, or 400 for a filter that is not understood
 *	curl http://127.0.0.1:9999/metrics                                          counters as Prometheus and OpenTelemetry collectors scrape them
 *
 * The metrics are those that the reference pushes to its hosting by OTLP over gRPC, under the same names. Nothing in the protocol needs
 * that push, and a collector that wants OTLP can scrape and convert: so this relay carries no gRPC, and says so when it is given
 * --otlp-grpc-endpoint.
 */
#pragma once

#include "applets/common/httpd.h"
#include "core/turn/server.h"

#define CONTROL_FILTER_MAX 1024u

struct control;

struct control_config {
	struct endpoint listen;
	int (*apply)(void *ctx, const char *filter); /* 0 when the filter was understood */
	const struct turn_server_stats *(*stats)(void *ctx);
	void *ctx;
};

/* NULL with the reason in *rc. */
struct control *control_open(struct loop *l, const struct control_config *cfg, int *rc);
void control_close(struct control *c); /* NULL is allowed */

/* What /metrics says. */
void control_metrics(const struct turn_server_stats *st, struct wr *out);
