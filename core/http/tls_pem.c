/* Trust anchors and identities from PEM. BearSSL's own readers of PEM and certificates are interpreters: a system's bundle of 144 certificates
 * would take as long as ten handshakes, so the bundle is read by hand. */
#include "core/base/encode.h"
#include "core/http/tls_int.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define TLS_LABEL_SIZE 64u


/* --- PEM ---------------------------------------------------------------------------------------------------------------------- */

/* Base64 of the object being read, then its DER in the same memory; wiped, for it may be a key. */
struct pem_buf {
	char *p;
	size_t n, cap;
};

static int pem_append(struct pem_buf *b, struct span line)
{
	if (line.n > BASE64_SIZE(TLS_DER_MAX) - b->n)
		return ERR_LIMIT;
	if (line.n > b->cap - b->n) {
		size_t cap = MAX(b->cap * 2, b->n + line.n);
		char *p = malloc(cap); /* not realloc: the old block shall be wiped */
		if (!p)
			return ERR_NOMEM;
		if (b->p) {
			memcpy(p, b->p, b->n);
			sodium_memzero(b->p, b->cap);
			free(b->p);
		}
		b->p = p;
		b->cap = cap;
	}
	for (size_t i = 0; i < line.n; i++)
		if (line.p[i] != ' ' && line.p[i] != '\t')
			b->p[b->n++] = (char)line.p[i];
	return 0;
}

static int pem_take(struct pem_buf *b, const char *label, int (*take)(void *ctx, const char *label, struct span der), void *ctx)
{
	u8 *der = malloc(b->n + 1);
	int n = der ? base64_decode(der, b->n + 1, SPAN(b->p, b->n)) : ERR_NOMEM;
	int rc = n < 0 ? (n == ERR_NOMEM ? n : ERR_MALFORMED) : take(ctx, label, SPAN(der, (size_t)n));

	if (n > 0)
		sodium_memzero(der, (size_t)n);
	free(der);
	return rc;
}

static struct span next_line(struct span *rest)
{
	const u8 *end = memchr(rest->p, '\n', rest->n);
	struct span line = SPAN(rest->p, end ? (size_t)(end - rest->p) : rest->n);
	size_t used = MIN(line.n + 1, rest->n);

	*rest = SPAN(rest->p + used, rest->n - used);
	while (line.n > 0 && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
		line.n--;
	return line;
}

/* `-----BEGIN label-----`, or END. */
static bool is_mark(struct span line, const char *word, char label[static TLS_LABEL_SIZE])
{
	size_t n = strlen(word);

	if (line.n < n + 5 || line.n - n - 5 >= TLS_LABEL_SIZE || memcmp(line.p, word, n) != 0 || memcmp(line.p + line.n - 5, "-----", 5) != 0)
		return false;
	memcpy(label, line.p + n, line.n - n - 5);
	label[line.n - n - 5] = 0;
	return true;
}

int tls_pem_walk(struct span pem, int (*take)(void *ctx, const char *label, struct span der), void *ctx)
{
	char label[TLS_LABEL_SIZE], end_label[TLS_LABEL_SIZE];
	struct pem_buf b = { NULL, 0, 0 };
	bool is_inside = false;
	int rc = 0;

	while (rc == 0 && pem.n > 0) {
		struct span line = next_line(&pem);
		if (is_mark(line, "-----BEGIN ", is_inside ? end_label : label)) {
			rc = is_inside ? ERR_MALFORMED : 0;
			is_inside = true;
			b.n = 0;
		} else if (is_inside && is_mark(line, "-----END ", end_label)) {
			rc = strcmp(label, end_label) == 0 ? pem_take(&b, label, take, ctx) : ERR_MALFORMED;
			is_inside = false;
		} else if (is_inside && line.n > 0 && memchr(line.p, ':', line.n)) {
			rc = ERR_UNSUPPORTED; /* RFC 1421 fields: an encrypted key of the old kind */
		} else if (is_inside) {
			rc = pem_append(&b, line);
		}
	}
	if (rc == 0 && is_inside)
		rc = ERR_MALFORMED;
	if (b.p) {
		sodium_memzero(b.p, b.cap);
		free(b.p);
	}
	return rc;
}

static bool is_certificate(const char *label)
{
	return strcmp(label, "CERTIFICATE") == 0 || strcmp(label, "X509 CERTIFICATE") == 0;
}

static u8 *copy_bytes(const void *p, size_t n)
{
	u8 *c = malloc(n ? n : 1);

	if (c)
		memcpy(c, p, n);
	return c;
}

/* --- anchors --------------------------------------------------------------------------------------------------------------------- */

static void anchor_deinit(br_x509_trust_anchor *ta)
{
	free(ta->dn.data);
	if (ta->pkey.key_type == BR_KEYTYPE_RSA) {
		free(ta->pkey.key.rsa.n);
		free(ta->pkey.key.rsa.e);
	} else {
		free(ta->pkey.key.ec.q);
	}
}

static int anchor_from_der(br_x509_trust_anchor *ta, struct span der)
{
	struct tls_cert c;

	memset(ta, 0, sizeof(*ta));
	if (!tls_cert_parse(der, &c))
		return ERR_UNSUPPORTED;
	ta->dn.data = copy_bytes(c.subject.p, c.subject.n);
	ta->dn.len = c.subject.n;
	ta->flags = c.is_ca ? BR_X509_TA_CA : 0;
	if (c.rsa_n.n > 0) {
		ta->pkey.key_type = BR_KEYTYPE_RSA;
		ta->pkey.key.rsa = (br_rsa_public_key){ copy_bytes(c.rsa_n.p, c.rsa_n.n), c.rsa_n.n, copy_bytes(c.rsa_e.p, c.rsa_e.n), c.rsa_e.n };
	} else {
		ta->pkey.key_type = BR_KEYTYPE_EC;
		ta->pkey.key.ec = (br_ec_public_key){ c.ec_curve, copy_bytes(c.ec_q.p, c.ec_q.n), c.ec_q.n };
	}
	bool is_whole = ta->dn.data && (c.rsa_n.n > 0 ? ta->pkey.key.rsa.n && ta->pkey.key.rsa.e : ta->pkey.key.ec.q != NULL);
	if (!is_whole)
		anchor_deinit(ta);
	return is_whole ? 0 : ERR_NOMEM;
}

struct anchors_in {
	struct tls_anchors *a;
	size_t skipped;
};

static int take_anchor(void *ctx, const char *label, struct span der)
{
	struct anchors_in *in = ctx;
	struct tls_anchors *a = in->a;

	if (!is_certificate(label))
		return 0;
	if (a->n == TLS_ANCHORS_MAX)
		return ERR_LIMIT;
	if (a->n == a->cap) {
		size_t cap = a->cap ? a->cap * 2 : 16;
		br_x509_trust_anchor *ta = realloc(a->ta, cap * sizeof(*ta));
		if (!ta)
			return ERR_NOMEM;
		a->ta = ta;
		a->cap = cap;
	}
	int rc = anchor_from_der(&a->ta[a->n], der);
	if (rc == 0)
		a->n++;
	else if (rc == ERR_UNSUPPORTED)
		in->skipped++;
	return rc == ERR_UNSUPPORTED ? 0 : rc;
}

int tls_anchors_new(struct span pem, struct tls_anchors **out, size_t *skipped)
{
	struct anchors_in in = { .a = calloc(1, sizeof(*in.a)) };
	int rc = in.a ? tls_pem_walk(pem, take_anchor, &in) : ERR_NOMEM;

	if (rc == 0 && in.a->n == 0)
		rc = ERR_NOT_FOUND;
	if (skipped)
		*skipped = in.skipped;
	if (rc)
		tls_anchors_free(in.a);
	else
		*out = in.a;
	return rc;
}

size_t tls_anchors_count(const struct tls_anchors *a)
{
	return a->n;
}

void tls_anchors_free(struct tls_anchors *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->n; i++)
		anchor_deinit(&a->ta[i]);
	free(a->ta);
	free(a);
}

/* --- identity -------------------------------------------------------------------------------------------------------------------- */

static int take_chain(void *ctx, const char *label, struct span der)
{
	struct tls_identity *id = ctx;

	if (!is_certificate(label))
		return 0;
	if (id->n == TLS_CHAIN_MAX)
		return ERR_LIMIT;
	u8 *copy = copy_bytes(der.p, der.n);
	if (!copy)
		return ERR_NOMEM;
	id->chain[id->n++] = (br_x509_certificate){ copy, der.n };
	return 0;
}

static int take_key(void *ctx, const char *label, struct span der)
{
	struct tls_identity *id = ctx;

	if (strcmp(label, "ENCRYPTED PRIVATE KEY") == 0)
		return ERR_UNSUPPORTED;
	if (!strstr(label, "PRIVATE KEY"))
		return 0; /* "EC PARAMETERS" and certificates may stand in the same file */
	br_skey_decoder_init(&id->key);
	br_skey_decoder_push(&id->key, der.p, der.n);
	switch (br_skey_decoder_last_error(&id->key)) {
	case 0: return 0;
	case BR_ERR_X509_UNSUPPORTED: return ERR_UNSUPPORTED;
	default: return ERR_MALFORMED;
	}
}

static bool rsa_key_fits(const br_rsa_private_key *sk, const br_rsa_public_key *pk)
{
	br_rsa_compute_modulus compute = br_rsa_compute_modulus_get_default();
	u8 n[TLS_RSA_BYTES_MAX];
	size_t len = compute(NULL, sk);

	if (len == 0 || len > sizeof(n) || compute(n, sk) != len)
		return false;
	const u8 *want = pk->n;
	size_t want_len = pk->nlen;
	while (want_len && *want == 0)
		want++, want_len--;
	return want_len == len && memcmp(want, n, len) == 0;
}

static bool ec_key_fits(const br_ec_private_key *sk, const br_ec_public_key *pk)
{
	u8 q[BR_EC_KBUF_PUB_MAX_SIZE];
	br_ec_public_key mine;

	if (sk->curve != pk->curve || br_ec_compute_pub(br_ec_get_default(), &mine, q, sk) == 0)
		return false;
	return mine.qlen == pk->qlen && memcmp(mine.q, pk->q, pk->qlen) == 0;
}

static int check_key(const struct tls_identity *id)
{
	br_x509_decoder_context dc;
	const br_x509_pkey *pk;

	br_x509_decoder_init(&dc, NULL, NULL);
	br_x509_decoder_push(&dc, id->chain[0].data, id->chain[0].data_len);
	pk = br_x509_decoder_get_pkey(&dc);
	if (!pk)
		return br_x509_decoder_last_error(&dc) == BR_ERR_X509_UNSUPPORTED ? ERR_UNSUPPORTED : ERR_MALFORMED;
	int type = br_skey_decoder_key_type(&id->key);
	if (type != pk->key_type)
		return ERR_INVAL;
	if (type == BR_KEYTYPE_RSA)
		return rsa_key_fits(br_skey_decoder_get_rsa(&id->key), &pk->key.rsa) ? 0 : ERR_INVAL;
	return ec_key_fits(br_skey_decoder_get_ec(&id->key), &pk->key.ec) ? 0 : ERR_INVAL;
}

int tls_identity_new(struct span chain_pem, struct span key_pem, struct tls_identity **out)
{
	struct tls_identity *id = calloc(1, sizeof(*id));
	int rc;

	if (!id)
		return ERR_NOMEM;
	id->spare = calloc(1, sizeof(*id->spare));
	rc = id->spare ? tls_pem_walk(chain_pem, take_chain, id) : ERR_NOMEM;
	if (rc == 0)
		rc = tls_pem_walk(key_pem, take_key, id);
	if (rc == 0 && (id->n == 0 || br_skey_decoder_key_type(&id->key) == 0))
		rc = ERR_NOT_FOUND;
	if (rc == 0)
		rc = check_key(id);
	if (rc)
		tls_identity_free(id);
	else
		*out = id;
	return rc;
}

void tls_identity_free(struct tls_identity *id)
{
	if (!id)
		return;
	for (size_t i = 0; i < id->n; i++)
		free(id->chain[i].data);
	tls_spare_free(id->spare);
	sodium_memzero(id, sizeof(*id));
	free(id);
}
