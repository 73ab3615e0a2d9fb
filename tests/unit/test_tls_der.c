/* Certificates read by hand against BearSSL's own reader; PEM in all its spellings. */
#include "core/http/tls_int.h"
#include "tests/unit/test.h"
#include "tests/unit/tls_certs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static u8 theirs[4096];
static size_t theirs_len;
static u32 compared;

static void append(void *ctx, const void *p, size_t n)
{
	(void)ctx;
	if (theirs_len + n <= sizeof(theirs)) {
		memcpy(theirs + theirs_len, p, n);
		theirs_len += n;
	}
}

static bool same(struct span a, const u8 *b, size_t n)
{
	while (n > 0 && *b == 0) {
		b++;
		n--;
	}
	return a.n == n && memcmp(a.p, b, n) == 0;
}

static int compare(void *ctx, const char *label, struct span der)
{
	br_x509_decoder_context dc;
	struct tls_cert ours;

	(void)ctx;
	if (strcmp(label, "CERTIFICATE") != 0)
		return 0;
	theirs_len = 0;
	br_x509_decoder_init(&dc, append, NULL);
	br_x509_decoder_push(&dc, der.p, der.n);
	const br_x509_pkey *key = br_x509_decoder_get_pkey(&dc);
	bool is_fine = tls_cert_parse(der, &ours);
	EXPECT_EQ(is_fine, key != NULL);
	if (!is_fine || !key)
		return 0;
	compared++;
	EXPECT_EQ(ours.subject.n, theirs_len);
	EXPECT_MEM(ours.subject.p, theirs, MIN(ours.subject.n, theirs_len));
	EXPECT_EQ(ours.is_ca, br_x509_decoder_isCA(&dc) != 0);
	if (key->key_type == BR_KEYTYPE_RSA)
		EXPECT(same(ours.rsa_n, key->key.rsa.n, key->key.rsa.nlen) && same(ours.rsa_e, key->key.rsa.e, key->key.rsa.elen));
	else
		EXPECT(ours.ec_curve == key->key.ec.curve && ours.ec_q.n == key->key.ec.qlen && memcmp(ours.ec_q.p, key->key.ec.q, ours.ec_q.n) == 0);
	return 0;
}

TEST(certificates_read_the_same_as_by_bearssl)
{
	static const char *const pems[] = { ca_pem, ec_pem, rsa_pem, self_pem };

	compared = 0;
	for (size_t i = 0; i < ARRAY_LEN(pems); i++)
		EXPECT_EQ(tls_pem_walk(SPAN(pems[i], strlen(pems[i])), compare, NULL), 0);
	EXPECT_EQ(compared, 4);
	(void)ec_key, (void)ec8_key, (void)rsa_key, (void)self_key;
}

TEST(the_systems_own_bundle_reads_the_same_as_by_bearssl)
{
	FILE *f = fopen("/etc/ssl/certs/ca-certificates.crt", "r");
	static char text[1 << 20];

	if (!f)
		TEST_SKIP("this system has no bundle");
	size_t n = fread(text, 1, sizeof(text), f);
	fclose(f);
	compared = 0;
	EXPECT_EQ(tls_pem_walk(SPAN(text, n), compare, NULL), 0);
	EXPECT(compared > 10);
}

static int keep(void *ctx, const char *label, struct span der)
{
	snprintf(ctx, 100, "%s %zu", label, der.n);
	return 0;
}

TEST(pem_in_all_spellings)
{
	static const struct { const char *text; int rc; const char *want; } t[] = {
		{ "-----BEGIN X-----\nAAEC\n-----END X-----\n", 0, "X 3" },
		{ "junk\n-----BEGIN X Y-----\r\nAA \r\n\tEC\r\n\r\n-----END X Y-----", 0, "X Y 3" },
		{ "-----BEGIN X-----\n-----END X-----\n", 0, "X 0" },
		{ "nothing at all", 0, "" },
		{ "", 0, "" },
		{ "-----BEGIN X-----\nAAEC\n-----END Y-----\n", ERR_MALFORMED, "" },
		{ "-----BEGIN X-----\nAAEC\n", ERR_MALFORMED, "" },
		{ "-----BEGIN X-----\n-----BEGIN X-----\nAAEC\n-----END X-----\n", ERR_MALFORMED, "" },
		{ "-----BEGIN X-----\nAAE\n-----END X-----\n", ERR_MALFORMED, "" },
		{ "-----BEGIN X-----\nA!EC\n-----END X-----\n", ERR_MALFORMED, "" },
		{ "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAEC\n-----END RSA PRIVATE KEY-----\n", ERR_UNSUPPORTED, "" },
		{ "-----END X-----\n", 0, "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		char got[100] = "";
		EXPECT_EQ(tls_pem_walk(SPAN(t[i].text, strlen(t[i].text)), keep, got), t[i].rc);
		EXPECT_STR(got, t[i].want);
	}
	size_t n = 2 * TLS_DER_MAX;
	char *big = malloc(n);
	memset(big, 'A', n);
	memcpy(big, "-----BEGIN X-----\n", 18);
	EXPECT_EQ(tls_pem_walk(SPAN(big, n), keep, (char[100]){ "" }), ERR_LIMIT);
	free(big);
}
