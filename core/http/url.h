/* core/http/url.h: absolute URLs as far as portals and DoH servers need them, and form encoding (spec 10 §1.1).
 *
 * A parsed URL borrows from its text. Hosts are names, IPv4 literals or bracketed IPv6 literals (kept without brackets); no user info.
 */
#pragma once

#include "core/base/cursor.h"
#include "core/base/err.h"
#include "core/ip/addr.h"

#define URL_MAX 2048u
#define HOST_MAX 255u

struct url {
	struct span scheme; /* as written; compare with url_scheme_is() */
	struct span host;   /* without brackets */
	struct ip literal;  /* family 0 unless the host is an address */
	u16 port;           /* 0 = not given */
	struct span path;   /* begins with '/', or empty */
	struct span query;  /* without '?', empty when absent */
};

/* ERR_MALFORMED: not an absolute URL with host. ERR_LIMIT: longer than URL_MAX or host longer than HOST_MAX. */
int url_parse(struct span text, struct url *out) MUST_CHECK;
bool url_scheme_is(const struct url *u, const char *lower_case);

/* application/x-www-form-urlencoded: space → '+', A-Z a-z 0-9 * - . _ literal, all else %XX. */
void form_encode(struct wr *w, struct span text);
/* One `name=value` more; '&' before it unless the query is empty so far (`*is_first`, which is cleared). */
void form_append(struct wr *w, bool *is_first, const char *name, struct span value);

/* Walks the pairs of a query or form body: 1 and the next pair (still encoded), 0 at the end. */
int form_next(struct span *query, struct span *name, struct span *value);
/* Decodes '+' and %XX into out, NUL terminated. ERR_MALFORMED: bad escape or an encoded NUL. ERR_TRUNCATED: cap too small. */
int form_decode(struct span in, char *out, size_t cap, size_t *n) MUST_CHECK;
/* The first value of `name`, decoded. ERR_NOT_FOUND. */
int form_get(struct span query, const char *name, char *out, size_t cap) MUST_CHECK;
