/* applets/dns_proxy/query_log.h: a line for each query, into a file or to stdout.
 *
 *	2026-01-31T12:00:00.123Z 192.168.1.20 udp nas.lan A static NOERROR 0.000
 *	{"time":"…","client":"192.168.1.20","transport":"udp","name":"nas.lan","type":"A","outcome":"static","rcode":"NOERROR","ms":0.000}
 *
 * Lines are collected and written every QUERY_LOG_PAUSE or when QUERY_LOG_BYTES are full; what the file does not take is dropped and
 * counted, so that a full disk or a stopped reader keeps no query waiting.
 */
#pragma once

#include "core/dns/proxy.h"
#include "core/loop/loop.h"

#define QUERY_LOG_BYTES 32768u
#define QUERY_LOG_PAUSE MSEC(500)
#define QUERY_LOG_LINE_MAX 2400u /* a name with every octet escaped, twice */

struct query_log;

/* `path` "stdout" or a file, which is appended to and made with mode 0640. NULL: *rc ERR_NOMEM, ERR_IO (errno). */
struct query_log *query_log_open(struct loop *l, const char *path, bool is_json, int *rc);
void query_log_close(struct query_log *q); /* NULL is allowed; what is collected is written */
/* In the shape of proxy_config.on_query. */
void query_log_note(void *ctx, const struct proxy_note *n);
u64 query_log_dropped(const struct query_log *q);

/* One line with its newline; its length. For tests. */
size_t query_log_line(const struct proxy_note *n, u64 wall_ns, bool is_json, char out[static QUERY_LOG_LINE_MAX]);
const char *query_log_outcome(enum proxy_outcome o);
