/* PEM bundles, and what a server could send first. */
#include "tests/fuzz/fuzz.h"
#include "core/http/tls.h"
#include "tests/unit/tls_certs.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	static struct tls_anchors *trusted;
	struct tls_anchors *a;
	struct tls_identity *id;
	struct rng_seeded rng;
	struct tls *t;
	size_t used;

	(void)ec_pem, (void)ec_key, (void)ec8_key, (void)rsa_pem, (void)rsa_key, (void)self_pem, (void)self_key;
	rng_seeded_init(&rng, 1);
	if (tls_anchors_new(SPAN(data, n), &a, NULL) == 0)
		tls_anchors_free(a);
	if (tls_identity_new(SPAN(data, n), SPAN(data, n), &id) == 0)
		tls_identity_free(id);
	if (!trusted && tls_anchors_new(SPAN(ca_pem, strlen(ca_pem)), &trusted, NULL))
		return 0;
	if (tls_client_new(trusted, "portal.example", 1800000000, &rng.rng, &t))
		return 0;
	while (n > 0 && tls_input(t, SPAN(data, n), &used) == 0 && used > 0) {
		data += used;
		n -= used;
		tls_output_done(t, tls_output(t).n);
		tls_read_done(t, tls_read(t).n);
	}
	tls_free(t);
	return 0;
}
