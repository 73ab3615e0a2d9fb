/* core/http/tls_int.h: what the parts of TLS share; private to tls*.c. */
#pragma once

#include "core/http/tls.h"

#include <bearssl.h>

#define TLS_RSA_BYTES_MAX 512u /* 4096 bits, as far as BearSSL goes */

struct tls_anchors {
	br_x509_trust_anchor *ta;
	size_t n, cap;
};

struct tls_identity {
	br_x509_certificate chain[TLS_CHAIN_MAX];
	size_t n;
	br_skey_decoder_context key; /* holds the key's bytes */
	struct tls_buffers **spare;  /* of whichever connection came to rest last; tls.c */
};

void tls_spare_free(struct tls_buffers **spare);

/* Calls `take` with the DER of each PEM object in the text and its label ("CERTIFICATE"). What take returns ends the walk unless 0.
 * ERR_MALFORMED: broken PEM. ERR_LIMIT: an object over TLS_DER_MAX. */
#define TLS_DER_MAX 65536u
int tls_pem_walk(struct span pem, int (*take)(void *ctx, const char *label, struct span der), void *ctx) MUST_CHECK;

/* Whether the certificate (DER) names this address in an iPAddress entry of its subjectAltName (RFC 5280 §4.2.1.6). */
bool tls_cert_has_ip(struct span der, struct span address);

/* What makes a trust anchor; spans into the DER. Either the rsa_ or the ec_ members are set. */
struct tls_cert {
	struct span subject; /* with its tag and length, as BearSSL hashes it */
	struct span rsa_n, rsa_e; /* without leading zeros */
	struct span ec_q;
	int ec_curve; /* BR_EC_secp256r1 … */
	bool is_ca;
};
/* False: malformed, or a kind of key BearSSL cannot verify with. */
bool tls_cert_parse(struct span der, struct tls_cert *out);
