/* core/http/tls_int.h: what the parts of TLS share; private to tls*.c. */
#pragma once

#include "core/http/tls.h"

#include <bearssl.h>

struct tls_anchors {
	br_x509_trust_anchor *ta;
	size_t n, cap;
};

struct tls_identity {
	br_x509_certificate chain[TLS_CHAIN_MAX];
	size_t n;
	br_skey_decoder_context key; /* holds the key's bytes */
};

/* Calls `take` with the DER of each PEM object in the text and its label ("CERTIFICATE"). What take returns ends the walk unless 0.
 * ERR_MALFORMED: broken PEM. ERR_LIMIT: an object over TLS_DER_MAX. */
#define TLS_DER_MAX 65536u
int tls_pem_walk(struct span pem, int (*take)(void *ctx, const char *label, struct span der), void *ctx) MUST_CHECK;

/* Whether the certificate (DER) names this address in an iPAddress entry of its subjectAltName (RFC 5280 §4.2.1.6). */
bool tls_cert_has_ip(struct span der, struct span address);
