/* core/dns/lookup_int.h: the hosts table that lookup_files.c makes and lookup.c asks. */
#pragma once

#include "core/base/siphash.h"
#include "core/dns/lookup.h"

/* Names are known by a keyed hash of their folded wire form: 64 bits that nobody outside can make collide. */
struct hosts_entry {
	u64 name;
	u32 order; /* of lines */
	struct ip ip;
};

struct hosts {
	struct siphash_key key;
	struct hosts_entry *entries; /* sorted by name, then order */
	u32 n;
	u64 left_out;
};

/* `key` is set. ERR_NOMEM: unchanged. */
int hosts_load(struct hosts *h, struct span text) MUST_CHECK;
/* The entries of a name: the first (NULL when there is none) and how many. */
const struct hosts_entry *hosts_find(const struct hosts *h, const struct dns_name *name, u32 *n);
