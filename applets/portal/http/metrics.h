/* applets/portal/http/metrics.h: what the HTTP side counts, and /metrics: all counters of a serving portal as Prometheus text (spec 60 §12).
 *
 * The numbers tell how much an organisation works and when, nothing of what. Asked without a password, they are told only to this machine and to
 * private networks, and only to who asks directly: what a reverse proxy forwards comes from anywhere. `--metrics all` tells everybody, `--metrics
 * off` nobody; who may not gets 404.
 */
#pragma once

#include "core/base/types.h"

struct exchange;

enum metrics_access { METRICS_LOCAL, METRICS_ALL, METRICS_OFF };

enum area_kind { AREA_PLAIN, AREA_API, AREA_WEB, AREAS };

#define STATUS_CLASSES 5u   /* 1xx to 5xx */
#define DURATION_BUCKETS 11u /* bounds in metrics.c, then +Inf */

struct http_stats {
	u64 requests[AREAS][STATUS_CLASSES];
	u64 duration[AREAS][DURATION_BUCKETS + 1]; /* each request in exactly one */
	u64 duration_ns[AREAS];
	u64 connections, upgrades, refused_requests, timeouts;
};

void metrics_request(struct http_stats *s, enum area_kind area, u16 status, u64 duration_ns);

/* GET /metrics */
void metrics_serve(struct exchange *x);
