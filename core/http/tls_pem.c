/* Trust anchors and identities from PEM; the one certificate field that BearSSL does not look at. */
#include "core/base/cursor.h"
#include "core/http/tls_int.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define RSA_BYTES_MAX 512u /* 4096 bits, as far as BearSSL goes */

/* --- PEM ---------------------------------------------------------------------------------------------------------------------- */

struct der_buf {
	u8 *p;
	size_t n, cap;
	int err;
};

static void der_append(void *ctx, const void *bytes, size_t n)
{
	struct der_buf *b = ctx;

	if (b->err)
		return;
	if (b->n + n > TLS_DER_MAX) {
		b->err = ERR_LIMIT;
		return;
	}
	if (b->n + n > b->cap) {
		size_t cap = MAX(b->cap * 2, b->n + n);
		u8 *p = malloc(cap); /* not realloc: it may hold a key, and the old block shall be wiped */
		if (!p) {
			b->err = ERR_NOMEM;
			return;
		}
		if (b->p) {
			memcpy(p, b->p, b->n);
			sodium_memzero(b->p, b->cap);
			free(b->p);
		}
		b->p = p;
		b->cap = cap;
	}
	memcpy(b->p + b->n, bytes, n);
	b->n += n;
}

int tls_pem_walk(struct span pem, int (*take)(void *ctx, const char *label, struct span der), void *ctx)
{
	br_pem_decoder_context pc;
	struct der_buf der = { 0 };
	char label[128] = "";
	bool is_inside = false, ends_line = false;
	int rc = 0;

	br_pem_decoder_init(&pc);
	while (rc == 0 && (pem.n > 0 || !ends_line)) {
		/* A last line without its newline is complete all the same. */
		size_t used = pem.n > 0 ? br_pem_decoder_push(&pc, pem.p, pem.n) : br_pem_decoder_push(&pc, "\n", 1);
		if (pem.n > 0) {
			pem.p += used;
			pem.n -= used;
		} else {
			ends_line = used == 1;
		}
		switch (br_pem_decoder_event(&pc)) {
		case BR_PEM_BEGIN_OBJ:
			strncpy(label, br_pem_decoder_name(&pc), sizeof(label) - 1);
			der.n = 0;
			is_inside = true;
			br_pem_decoder_setdest(&pc, der_append, &der);
			break;
		case BR_PEM_END_OBJ:
			is_inside = false;
			rc = der.err ? der.err : take(ctx, label, SPAN(der.p, der.n));
			break;
		case BR_PEM_ERROR:
			rc = ERR_MALFORMED;
			break;
		}
	}
	if (rc == 0 && is_inside)
		rc = ERR_MALFORMED;
	if (der.p) {
		sodium_memzero(der.p, der.cap);
		free(der.p);
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

static int copy_key(br_x509_pkey *to, const br_x509_pkey *from)
{
	*to = *from;
	if (from->key_type == BR_KEYTYPE_RSA) {
		to->key.rsa.n = copy_bytes(from->key.rsa.n, from->key.rsa.nlen);
		to->key.rsa.e = copy_bytes(from->key.rsa.e, from->key.rsa.elen);
		return to->key.rsa.n && to->key.rsa.e ? 0 : ERR_NOMEM;
	}
	to->key.ec.q = copy_bytes(from->key.ec.q, from->key.ec.qlen);
	return to->key.ec.q ? 0 : ERR_NOMEM;
}

static int anchor_from_der(br_x509_trust_anchor *ta, struct span der)
{
	br_x509_decoder_context dc;
	struct der_buf dn = { 0 };
	const br_x509_pkey *key;
	int rc = ERR_UNSUPPORTED;

	memset(ta, 0, sizeof(*ta));
	br_x509_decoder_init(&dc, der_append, &dn);
	br_x509_decoder_push(&dc, der.p, der.n);
	key = br_x509_decoder_get_pkey(&dc);
	if (!key || dn.err)
		goto out;
	ta->dn.data = copy_bytes(dn.p, dn.n);
	ta->dn.len = dn.n;
	ta->flags = br_x509_decoder_isCA(&dc) ? BR_X509_TA_CA : 0;
	rc = ta->dn.data ? copy_key(&ta->pkey, key) : ERR_NOMEM;
	if (rc)
		anchor_deinit(ta);
out:
	free(dn.p);
	return rc;
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
	u8 n[RSA_BYTES_MAX];
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
	int rc = id ? tls_pem_walk(chain_pem, take_chain, id) : ERR_NOMEM;

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
	sodium_memzero(id, sizeof(*id));
	free(id);
}

/* --- addresses in certificates ------------------------------------------------------------------------------------------------------ */

/* The content of the next DER element when its tag is `tag`; otherwise, and at the end, an empty span. *skipped_tag tells its tag. */
static struct span der_next(struct rd *r, u8 *tag)
{
	*tag = rd_u8(r);
	size_t len = rd_u8(r);

	if (len & 0x80) {
		size_t bytes = len & 0x7f;
		len = 0;
		if (bytes == 0 || bytes > 3)
			r->failed = true;
		for (size_t i = 0; i < bytes && rd_ok(r); i++)
			len = len << 8 | rd_u8(r);
	}
	return rd_bytes(r, len);
}

static struct span der_enter(struct rd *r, u8 want)
{
	u8 tag;
	struct span s = der_next(r, &tag);

	if (tag != want)
		r->failed = true;
	return rd_ok(r) ? s : SPAN_NONE;
}

static bool names_have_ip(struct span names, struct span address)
{
	struct rd r = rd_span(names);

	while (rd_left(&r) > 0) {
		u8 tag;
		struct span s = der_next(&r, &tag);
		if (!rd_ok(&r))
			return false;
		if (tag == 0x87 && s.n == address.n && memcmp(s.p, address.p, s.n) == 0) /* [7] iPAddress */
			return true;
	}
	return false;
}

static bool extensions_have_ip(struct span list, struct span address)
{
	static const u8 subject_alt_name[] = { 0x55, 0x1d, 0x11 };
	struct rd r = rd_span(list);

	while (rd_left(&r) > 0) {
		struct rd ext = rd_span(der_enter(&r, 0x30));
		if (!rd_ok(&r))
			return false;
		struct span oid = der_enter(&ext, 0x06);
		if (oid.n != sizeof(subject_alt_name) || memcmp(oid.p, subject_alt_name, oid.n) != 0)
			continue;
		u8 tag;
		struct span value = der_next(&ext, &tag);
		if (tag == 0x01) /* critical */
			value = der_next(&ext, &tag);
		if (tag != 0x04 || !rd_ok(&ext))
			return false;
		struct rd octets = rd_span(value);
		return names_have_ip(der_enter(&octets, 0x30), address);
	}
	return false;
}

bool tls_cert_has_ip(struct span der, struct span address)
{
	struct rd whole = rd_span(der);
	struct rd cert = rd_span(der_enter(&whole, 0x30));
	struct rd tbs = rd_span(der_enter(&cert, 0x30));

	while (rd_ok(&tbs) && rd_left(&tbs) > 0) {
		u8 tag;
		struct span s = der_next(&tbs, &tag);
		if (tag != 0xa3 || !rd_ok(&tbs)) /* [3] extensions */
			continue;
		struct rd wrapped = rd_span(s);
		return extensions_have_ip(der_enter(&wrapped, 0x30), address);
	}
	return false;
}
