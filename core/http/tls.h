/* core/http/tls.h: TLS on BearSSL, both ends, as a pump without sockets.
 *
 *   network bytes ──tls_input()──▶ [engine] ──tls_read()──▶ plaintext
 *   network bytes ◀──tls_output()── [engine] ◀──tls_write()── plaintext
 *
 *   [handshake] ──TLS_READY──▶ [open] ──close_notify or tls_close()──▶ [closed]         any alert or bad certificate ──▶ [failed]
 *
 * BearSSL speaks TLS 1.0 to 1.2; we allow 1.2 only, with ECDHE and AEAD suites (ChaCha20-Poly1305, AES-GCM). There is no TLS 1.3: a server that
 * demands it cannot be reached. No session resumption. The wall clock of certificate checks is passed in.
 *
 * A connection needs 21 KB of buffers while bytes are in them; at a server only then: between records it gives them back, and a silent connection
 * holds 5 KB. All connections of one identity belong to one thread.
 */
#pragma once

#include "core/base/err.h"
#include "core/base/rng.h"
#include "core/base/types.h"

#define TLS_ANCHORS_MAX 1024u /* certificates in a CA bundle */
#define TLS_CHAIN_MAX 16u     /* certificates in our own chain */
#define TLS_REASON_MAX 160u
#define TLS_PROTOCOLS_MAX 4u  /* names of ALPN */

/* --- trust and identity: made once, shared by any number of connections, which borrow them --- */
struct tls_anchors;
struct tls_identity;

/* From the content of a PEM bundle. Certificates that cannot be used are skipped and counted in *skipped (may be NULL). ERR_NOT_FOUND: not
 * one was usable; ERR_MALFORMED: broken PEM; ERR_NOMEM; ERR_LIMIT. */
int tls_anchors_new(struct span pem, struct tls_anchors **out, size_t *skipped) MUST_CHECK;
size_t tls_anchors_count(const struct tls_anchors *a);
void tls_anchors_free(struct tls_anchors *a);

/* A server's chain (leaf first) and its key (EC P-256/384/521 or RSA; PKCS#1, SEC1 or PKCS#8), PEM. ERR_MALFORMED: broken PEM or DER;
 * ERR_NOT_FOUND: no certificate or no key; ERR_UNSUPPORTED: kind of key (encrypted ones too); ERR_INVAL: key does not belong to the leaf. */
int tls_identity_new(struct span chain_pem, struct span key_pem, struct tls_identity **out) MUST_CHECK;
void tls_identity_free(struct tls_identity *id);

/* --- one connection --- */
struct tls;

/* `host` is the name or address literal to be found in the certificate; names are also sent as SNI. `wall_secs` = Unix time now. */
int tls_client_new(const struct tls_anchors *a, const char *host, u64 wall_secs, struct rng *rng, struct tls **out) MUST_CHECK;
int tls_server_new(const struct tls_identity *id, struct rng *rng, struct tls **out) MUST_CHECK;
/* The same with application protocols (ALPN, RFC 7301), best first; the strings are borrowed until tls_free(). A client offers them, a server
 * picks its first that the client offers. No protocol in common is no error: tls_protocol() tells. ERR_LIMIT: over TLS_PROTOCOLS_MAX. */
int tls_client_new_alpn(const struct tls_anchors *a, const char *host, const char *const *protocols, size_t n, u64 wall_secs, struct rng *rng,
			struct tls **out) MUST_CHECK;
int tls_server_new_alpn(const struct tls_identity *id, const char *const *protocols, size_t n, struct rng *rng, struct tls **out) MUST_CHECK;
void tls_free(struct tls *t);

/* Takes what fits of the network's bytes; `*used` may be less than in.n: read plaintext, then offer the rest. 0, or the failure. */
int tls_input(struct tls *t, struct span in, size_t *used) MUST_CHECK;
/* The peer's stream ended. ERR_TRUNCATED when no close_notify came before (an attacker may have cut it). */
int tls_input_eof(struct tls *t);
/* Bytes for the network; then say how many were taken. */
struct span tls_output(struct tls *t);
void tls_output_done(struct tls *t, size_t n);

/* Plaintext that arrived; then say how many bytes were taken. */
struct span tls_read(struct tls *t);
void tls_read_done(struct tls *t, size_t n);
/* Takes what fits of the plaintext: the count, 0 when the engine is busy (drain tls_output() first). */
size_t tls_write(struct tls *t, struct span plain);
/* Sends close_notify. */
void tls_close(struct tls *t);

bool tls_is_ready(const struct tls *t);  /* handshake done */
bool tls_is_closed(const struct tls *t);
/* The application protocol both agreed on, one of those given; NULL: none, or the handshake is not done. */
const char *tls_protocol(const struct tls *t);
/* 0 while all is well. ERR_AUTH: the certificate is not acceptable; ERR_EXPIRED: it is expired or not yet valid; ERR_DENIED: it is for
 * another name; ERR_MALFORMED and others: protocol. */
int tls_error(const struct tls *t);
/* For people: "certificate is valid for another name than portal.example". Never NULL. */
const char *tls_reason(const struct tls *t);
