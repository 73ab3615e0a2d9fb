/* applets/common/httpd.h: a small HTTP server for the few questions a daemon is asked by its host: health checks, control, metrics.
 *
 * One request per connection, at most HTTPD_CONNS_MAX at a time, each given HTTPD_TIMEOUT; a further one waits in the backlog. The answer is
 * made from the head alone: bodies are not read. Replies fit any socket buffer. What is no HTTP gets the status its parser names.
 */
#pragma once

#include "core/base/cursor.h"
#include "core/ip/addr.h"
#include "core/loop/loop.h"

#define HTTPD_CONNS_MAX 8u
#define HTTPD_TIMEOUT SEC(5)
#define HTTPD_BODY_MAX 4096u

struct httpd_request {
	struct span method, path, query; /* query: behind the '?', not decoded */
};

bool httpd_is(const struct httpd_request *q, const char *method, const char *path);
/* The value of a member of the query, decoded as a form (core/http/url.h). ERR_NOT_FOUND; ERR_MALFORMED: bad coding, a control character, longer than `cap`. */
int httpd_query(const struct httpd_request *q, const char *name, char *out, size_t cap) MUST_CHECK;

/* Returns the status; writes the body, if any, to `body`. */
typedef u16 httpd_answer(void *ctx, const struct httpd_request *q, struct wr *body);

struct httpd;

/* NULL with the reason in *rc when the address cannot be served. */
struct httpd *httpd_open(struct loop *l, const struct endpoint *listen, httpd_answer *answer, void *ctx, int *rc);
void httpd_close(struct httpd *h); /* NULL is allowed */
int httpd_local(const struct httpd *h, struct endpoint *out); /* where it listens, for port 0 */
