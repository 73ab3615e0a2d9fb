/* core/crypto/argon2.h: Argon2id (RFC 9106, version 0x13), the slow hash of passwords and short codes.
 *
 * A pure function: the caller brings the memory, argon2_memory() bytes, and wipes or reuses it. All lanes are worked on by the calling thread,
 * one after the other: `lanes` changes the result, not the time. It runs long (65536 KiB three times: 0.1 to several seconds), so never in
 * the loop.
 */
#pragma once

#include "core/base/err.h"
#include "core/base/types.h"

#define ARGON2_LANES_MAX 16u
#define ARGON2_PASSES_MAX 64u
#define ARGON2_KIB_MAX (1024u * 1024u)
#define ARGON2_ALIGN 64u

struct argon2_params {
	u32 passes; /* t */
	u32 kib;    /* m */
	u32 lanes;  /* p */
};

/* Bytes of memory a computation takes; 0 when the parameters are outside the limits: at least one pass, one lane, 8 KiB a lane. */
size_t argon2_memory(const struct argon2_params *p);

/* `memory` is argon2_memory(p) bytes at a multiple of ARGON2_ALIGN. out_len 4..1024, salt of at least 8 bytes; key and ad may be empty.
 * ERR_INVAL otherwise. */
int argon2id(u8 *out, size_t out_len, const struct argon2_params *p, struct span password, struct span salt, struct span key, struct span ad,
	     void *memory) MUST_CHECK;
