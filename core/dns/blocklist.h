/* core/dns/blocklist.h: a set of names that, with all below them, shall not be found.
 *
 * What is kept of a name is a keyed 64-bit fingerprint, so a million names take 16 MiB at most, and a name that is not in the set is taken for
 * one that is with a chance of one in 10^12. Built once, then only asked: a look-up costs one hash per label. Grows by doubling while
 * it is built, up to BLOCKLIST_NAMES_MAX names.
 */
#pragma once

#include "core/base/rng.h"
#include "core/dns/name.h"

#define BLOCKLIST_NAMES_MAX (4u << 20)

struct blocklist;

struct blocklist *blocklist_new(struct rng *rng); /* NULL: out of memory */
void blocklist_free(struct blocklist *b);         /* NULL is allowed */

/* Adding one twice changes nothing. ERR_LIMIT, ERR_NOMEM; ERR_INVAL: the root. */
int blocklist_add(struct blocklist *b, const struct dns_name *name) MUST_CHECK;

/* Each line names one: `name`, `*.name`, `||name^`, or a line of a hosts file, `0.0.0.0 name…`. `#` and `!` begin comments; names without a dot in
 * hosts lines (localhost) are passed over. Lines that are none of these are counted in *bad and *first_bad (1-based, 0 none) and
 * passed over. ERR_LIMIT, ERR_NOMEM. */
int blocklist_add_text(struct blocklist *b, struct span text, u32 *bad, u32 *first_bad) MUST_CHECK;

/* `name` or one above it is in the set. */
bool blocklist_has(const struct blocklist *b, const struct dns_name *name);
u32 blocklist_count(const struct blocklist *b);
size_t blocklist_bytes(const struct blocklist *b);
