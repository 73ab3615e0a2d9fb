/* core/crypto/aead_avx2.h: the AEAD kernel for x86-64 with AVX2; its doors are reached through the table of aead.h.
 *
 * A lone packet gives vector units too little to do. So packets are worked on eight at a time: ChaCha20 makes eight 64-byte blocks at
 * once, taken from whatever packets come next, so that no lane idles at a packet's end; Poly1305 keeps one packet per lane, which needs
 * no powers of r and no set-up per packet (performance.md §5).
 */
#pragma once

#include "core/crypto/aead.h"

#if defined(__x86_64__)
#define AEAD_HAS_AVX2 1

bool aead_avx2_is_usable(void);
void aead_avx2_seal(struct aead_job *jobs, size_t n);
void aead_avx2_open(struct aead_job *jobs, size_t n);
#endif
