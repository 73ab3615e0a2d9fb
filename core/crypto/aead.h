/* core/crypto/aead.h: ChaCha20-Poly1305 (RFC 8439) over a batch of packets, the nonce of WireGuard: 4 zero bytes, then the counter as
 * 64 bits little endian.
 *
 * A kernel is chosen once by aead_init() from a table by CPU feature; the first and always present one is libsodium's. Every kernel must pass the
 * same vectors and a differential test against libsodium. Jobs of one batch may use different keys and lengths. In place, no
 * allocation. All tags of a batch are judged before the call returns; a job whose `ok` is false holds garbage and must not be used.
 */
#pragma once

#include "core/base/types.h"

#define AEAD_KEY 32u
#define AEAD_TAG 16u

struct aead_job {
	const u8 *key; /* AEAD_KEY bytes, borrowed */
	u64 counter;
	u8 *data; /* seal: len bytes of plaintext with AEAD_TAG writable bytes behind; open: len bytes ciphertext, tag behind */
	u32 len;  /* of the plaintext */
	bool ok;  /* set by open */
};

/* Chooses the kernel. Must be called once before anything else; ERR_INTERNAL when the library cannot start. */
int aead_init(void);

void aead_seal(struct aead_job *jobs, size_t n);
void aead_open(struct aead_job *jobs, size_t n);

/* Single shots with additional data, for handshakes (out may equal in). open: ERR_AUTH. */
void aead_seal_ad(const u8 key[static 32], u64 counter, struct span ad, struct span in, u8 *out);
int aead_open_ad(const u8 key[static 32], u64 counter, struct span ad, struct span in, u8 *out) MUST_CHECK;

/* XChaCha20-Poly1305 with a 24-byte nonce, for cookie replies. */
void xaead_seal_ad(const u8 key[static 32], const u8 nonce[static 24], struct span ad, struct span in, u8 *out);
int xaead_open_ad(const u8 key[static 32], const u8 nonce[static 24], struct span ad, struct span in, u8 *out) MUST_CHECK;

/* The kernels, for tests and benches: name, whether this CPU has what it needs, its two functions. */
struct aead_kernel {
	const char *name;
	bool (*is_usable)(void);
	void (*seal)(struct aead_job *jobs, size_t n);
	void (*open)(struct aead_job *jobs, size_t n);
};
const struct aead_kernel *aead_kernels(size_t *n);
