/* applets/dns_proxy/stats.h: counters as JSON: who connects to the Unix socket gets them and the end of the stream. */
#pragma once

#include "core/json/json.h"
#include "core/loop/loop.h"

#define STATS_CONNS_PER_WAKE 16u

struct stats;

/* A socket file that nobody serves any more is replaced. NULL: *rc ERR_EXISTS (somebody serves it), ERR_INVAL (too long), ERR_NOMEM, ERR_IO (errno). */
struct stats *stats_open(struct loop *l, const char *path, void (*write)(void *ctx, struct json_out *o), void *ctx, int *rc);
void stats_close(struct stats *s); /* NULL is allowed; removes the file where it may */

/* What `dns-proxy stats` does: prints what the socket says. The exit status. */
int stats_print(const char *path);
