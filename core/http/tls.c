#include "core/http/tls.h"

#include "core/http/tls_int.h"
#include "core/ip/addr.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIX_EPOCH_DAYS 719528u /* BearSSL counts days from year 0 */
#define SECS_PER_DAY 86400u
#define OUT_BUF_SIZE (4096u + 85u)
#define HOST_SIZE 256u

struct verifier {
	const br_x509_class *vtable; /* must come first */
	br_x509_minimal_context minimal;
	struct ip address; /* to be found in the leaf; family 0 = BearSSL checks a name */
	u8 *leaf;
	size_t leaf_len, leaf_cap;
	unsigned index; /* of the certificate being fed */
	char host[HOST_SIZE];
};

/* A server's connection has buffers only while something is in them: of ten thousand that are silent, none needs its 20 KB. */
struct tls_buffers {
	u8 out[OUT_BUF_SIZE];
	u8 in[BR_SSL_BUFSIZE_INPUT];
};

struct tls {
	union {
		br_ssl_engine_context eng; /* first member of both */
		br_ssl_client_context client;
		br_ssl_server_context server;
	};
	struct verifier *verifier;    /* of a client */
	struct tls_buffers *buffers;  /* NULL: a server at rest */
	struct tls_buffers **spare;   /* the identity's; NULL: a client, which keeps its own */
	bool is_server;
	const char *protocols[TLS_PROTOCOLS_MAX];
	char reason[TLS_REASON_MAX];
	int err;
	bool is_cut;
};

/* Forward secrecy and authenticated encryption only. ChaCha20 first: routers have no AES instructions. */
static const u16 suites[] = {
	BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,	  BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,	  BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
};

static const struct {
	int id;
	const br_hash_class *hash;
} hashes[] = {
	{ br_sha256_ID, &br_sha256_vtable },
	{ br_sha384_ID, &br_sha384_vtable },
	{ br_sha512_ID, &br_sha512_vtable },
};

/* --- verifying a server's chain: BearSSL's own, plus addresses ------------------------------------------------------------------------ */

static struct verifier *verifier_of(const br_x509_class **ctx)
{
	return (struct verifier *)(void *)ctx;
}

static void v_start_chain(const br_x509_class **ctx, const char *name)
{
	struct verifier *v = verifier_of(ctx);

	v->index = 0;
	v->leaf_len = 0;
	v->minimal.vtable->start_chain(&v->minimal.vtable, v->address.family ? NULL : name);
}

static void v_start_cert(const br_x509_class **ctx, uint32_t length)
{
	struct verifier *v = verifier_of(ctx);

	if (v->address.family && v->index == 0 && length <= TLS_DER_MAX) {
		free(v->leaf);
		v->leaf = malloc(length ? length : 1);
		v->leaf_cap = v->leaf ? length : 0;
	}
	v->minimal.vtable->start_cert(&v->minimal.vtable, length);
}

static void v_append(const br_x509_class **ctx, const unsigned char *buf, size_t len)
{
	struct verifier *v = verifier_of(ctx);

	if (v->index == 0 && v->leaf && len <= v->leaf_cap - v->leaf_len) {
		memcpy(v->leaf + v->leaf_len, buf, len);
		v->leaf_len += len;
	}
	v->minimal.vtable->append(&v->minimal.vtable, buf, len);
}

static void v_end_cert(const br_x509_class **ctx)
{
	struct verifier *v = verifier_of(ctx);

	v->index++;
	v->minimal.vtable->end_cert(&v->minimal.vtable);
}

static unsigned v_end_chain(const br_x509_class **ctx)
{
	struct verifier *v = verifier_of(ctx);
	unsigned err = v->minimal.vtable->end_chain(&v->minimal.vtable);

	if (err == 0 && v->address.family &&
	    (!v->leaf || !tls_cert_has_ip(SPAN(v->leaf, v->leaf_len), SPAN(v->address.b, ip_len(&v->address)))))
		err = BR_ERR_X509_BAD_SERVER_NAME;
	free(v->leaf);
	v->leaf = NULL;
	v->leaf_len = v->leaf_cap = 0;
	return err;
}

static const br_x509_pkey *v_get_pkey(const br_x509_class *const *ctx, unsigned *usages)
{
	const struct verifier *v = (const struct verifier *)(const void *)ctx;

	return v->minimal.vtable->get_pkey(&v->minimal.vtable, usages);
}

static const br_x509_class verifier_class = {
	.context_size = sizeof(struct verifier),
	.start_chain = v_start_chain,
	.start_cert = v_start_cert,
	.append = v_append,
	.end_cert = v_end_cert,
	.end_chain = v_end_chain,
	.get_pkey = v_get_pkey,
};

static void verifier_init(struct verifier *v, const struct tls_anchors *a, u64 wall_secs)
{
	br_x509_minimal_init(&v->minimal, &br_sha256_vtable, a->ta, a->n);
	br_x509_minimal_set_rsa(&v->minimal, br_rsa_pkcs1_vrfy_get_default());
	br_x509_minimal_set_ecdsa(&v->minimal, br_ec_get_default(), br_ecdsa_vrfy_asn1_get_default());
	for (unsigned i = 0; i < ARRAY_LEN(hashes); i++)
		br_x509_minimal_set_hash(&v->minimal, hashes[i].id, hashes[i].hash);
	br_x509_minimal_set_time(&v->minimal, (uint32_t)(wall_secs / SECS_PER_DAY + UNIX_EPOCH_DAYS), (uint32_t)(wall_secs % SECS_PER_DAY));
	v->vtable = &verifier_class;
}

/* --- making one ------------------------------------------------------------------------------------------------------------------------ */

static struct tls *new_tls(void)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (t)
		t->buffers = malloc(sizeof(*t->buffers));
	if (t && !t->buffers) {
		free(t);
		t = NULL;
	}
	return t;
}

static void set_up(struct tls *t, const char *const *protocols, size_t n, struct rng *rng)
{
	br_ssl_engine_context *eng = &t->eng;
	u8 seed[48];

	br_ssl_engine_set_versions(eng, BR_TLS12, BR_TLS12);
	br_ssl_engine_set_suites(eng, suites, ARRAY_LEN(suites));
	for (unsigned i = 0; i < ARRAY_LEN(hashes); i++)
		br_ssl_engine_set_hash(eng, hashes[i].id, hashes[i].hash);
	br_ssl_engine_set_prf_sha256(eng, &br_tls12_sha256_prf);
	br_ssl_engine_set_prf_sha384(eng, &br_tls12_sha384_prf);
	br_ssl_engine_set_default_chapol(eng);
	br_ssl_engine_set_default_aes_gcm(eng);
	br_ssl_engine_set_default_ec(eng);
	br_ssl_engine_add_flags(eng, BR_OPT_NO_RENEGOTIATION);
	for (size_t i = 0; i < n; i++)
		t->protocols[i] = protocols[i];
	br_ssl_engine_set_protocol_names(eng, t->protocols, n);
	br_ssl_engine_set_buffers_bidi(eng, t->buffers->in, sizeof(t->buffers->in), t->buffers->out, sizeof(t->buffers->out));
	rng_fill(rng, seed, sizeof(seed));
	br_ssl_engine_inject_entropy(eng, seed, sizeof(seed));
	sodium_memzero(seed, sizeof(seed));
}

int tls_client_new(const struct tls_anchors *a, const char *host, u64 wall_secs, struct rng *rng, struct tls **out)
{
	return tls_client_new_alpn(a, host, NULL, 0, wall_secs, rng, out);
}

int tls_client_new_alpn(const struct tls_anchors *a, const char *host, const char *const *protocols, size_t n, u64 wall_secs, struct rng *rng,
			struct tls **out)
{
	struct tls *t;

	if (strlen(host) >= HOST_SIZE)
		return ERR_INVAL;
	if (n > TLS_PROTOCOLS_MAX)
		return ERR_LIMIT;
	t = new_tls();
	if (!t)
		return ERR_NOMEM;
	t->verifier = calloc(1, sizeof(*t->verifier));
	if (!t->verifier) {
		tls_free(t);
		return ERR_NOMEM;
	}
	strcpy(t->verifier->host, host);
	(void)ip_parse(SPAN(host, strlen(host)), &t->verifier->address); /* family stays 0 for a name */
	verifier_init(t->verifier, a, wall_secs);
	br_ssl_client_zero(&t->client);
	set_up(t, protocols, n, rng);
	br_ssl_engine_set_default_rsavrfy(&t->eng);
	br_ssl_engine_set_default_ecdsa(&t->eng);
	br_ssl_engine_set_x509(&t->eng, &t->verifier->vtable);
	if (!br_ssl_client_reset(&t->client, t->verifier->address.family ? NULL : host, 0)) {
		tls_free(t);
		return ERR_INTERNAL;
	}
	*out = t;
	return 0;
}

int tls_server_new(const struct tls_identity *id, struct rng *rng, struct tls **out)
{
	return tls_server_new_alpn(id, NULL, 0, rng, out);
}

int tls_server_new_alpn(const struct tls_identity *id, const char *const *protocols, size_t n, struct rng *rng, struct tls **out)
{
	struct tls *t;

	if (n > TLS_PROTOCOLS_MAX)
		return ERR_LIMIT;
	t = new_tls();
	if (!t)
		return ERR_NOMEM;
	t->is_server = true;
	t->spare = id->spare;
	br_ssl_server_zero(&t->server);
	set_up(t, protocols, n, rng);
	br_ssl_engine_add_flags(&t->eng, BR_OPT_ENFORCE_SERVER_PREFERENCES);
	if (br_skey_decoder_key_type(&id->key) == BR_KEYTYPE_RSA)
		br_ssl_server_set_single_rsa(&t->server, id->chain, id->n, br_skey_decoder_get_rsa(&id->key), BR_KEYTYPE_SIGN,
					     br_rsa_private_get_default(), br_rsa_pkcs1_sign_get_default());
	else
		br_ssl_server_set_single_ec(&t->server, id->chain, id->n, br_skey_decoder_get_ec(&id->key), BR_KEYTYPE_SIGN, BR_KEYTYPE_EC,
					    br_ec_get_default(), br_ecdsa_sign_asn1_get_default());
	if (!br_ssl_server_reset(&t->server)) {
		tls_free(t);
		return ERR_INTERNAL;
	}
	*out = t;
	return 0;
}

static void free_buffers(struct tls *t)
{
	if (t->buffers)
		sodium_memzero(t->buffers, sizeof(*t->buffers));
	free(t->buffers);
	t->buffers = NULL;
}

void tls_spare_free(struct tls_buffers **spare)
{
	if (spare && *spare)
		sodium_memzero(*spare, sizeof(**spare));
	if (spare)
		free(*spare);
	free(spare);
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	if (t->verifier)
		free(t->verifier->leaf);
	free(t->verifier);
	free_buffers(t);
	sodium_memzero(t, sizeof(*t));
	free(t);
}

/* --- what went wrong --------------------------------------------------------------------------------------------------------------------- */

static const char *alert_name(int alert)
{
	switch (alert) {
	case 40: return "handshake_failure: no common cipher suite or curve";
	case 42: return "bad_certificate";
	case 43: return "unsupported_certificate";
	case 44: return "certificate_revoked";
	case 45: return "certificate_expired";
	case 46: return "certificate_unknown";
	case 47: return "illegal_parameter";
	case 48: return "unknown_ca";
	case 49: return "access_denied";
	case 50: return "decode_error";
	case 51: return "decrypt_error";
	case 70: return "protocol_version: it does not offer TLS 1.2";
	case 71: return "insufficient_security";
	case 80: return "internal_error";
	case 112: return "unrecognized_name";
	case 116: return "certificate_required";
	default: return NULL;
	}
}

/* Whether an error belongs to the peer's certificate, and which words fit. */
static int explain_certificate(const struct tls *t, int code, char *text, size_t cap)
{
	switch (code) {
	case BR_ERR_X509_EXPIRED:
		snprintf(text, cap, "certificate is expired or not yet valid (is this machine's clock right?)");
		return ERR_EXPIRED;
	case BR_ERR_X509_BAD_SERVER_NAME:
		snprintf(text, cap, "certificate is valid for another name than %.100s", t->verifier ? t->verifier->host : "");
		return ERR_DENIED;
	case BR_ERR_X509_NOT_TRUSTED:
		snprintf(text, cap, "certificate is self-signed or from an unknown authority (name yours with --ca)");
		return ERR_AUTH;
	case BR_ERR_X509_BAD_SIGNATURE:
		snprintf(text, cap, "certificate has a wrong signature");
		return ERR_AUTH;
	case BR_ERR_X509_WEAK_PUBLIC_KEY:
		snprintf(text, cap, "certificate has too weak a key");
		return ERR_AUTH;
	case BR_ERR_X509_NOT_CA:
		snprintf(text, cap, "certificate was issued by one that is no authority");
		return ERR_AUTH;
	default:
		snprintf(text, cap, "certificate is not acceptable (BearSSL error %d)", code);
		return ERR_AUTH;
	}
}

static int explain(struct tls *t, int code)
{
	char *text = t->reason;
	size_t cap = sizeof(t->reason);

	if (code >= BR_ERR_X509_INVALID_VALUE && code <= BR_ERR_X509_NOT_TRUSTED)
		return explain_certificate(t, code, text, cap);
	if (code >= BR_ERR_RECV_FATAL_ALERT) {
		bool is_ours = code >= BR_ERR_SEND_FATAL_ALERT;
		int alert = code - (is_ours ? BR_ERR_SEND_FATAL_ALERT : BR_ERR_RECV_FATAL_ALERT);
		const char *name = alert_name(alert);
		if (name)
			snprintf(text, cap, is_ours ? "TLS handshake refused by us: %s" : "TLS handshake refused by the other side: %s", name);
		else
			snprintf(text, cap, "TLS alert %d %s", alert, is_ours ? "sent" : "received");
		return is_ours ? ERR_MALFORMED : ERR_CLOSED;
	}
	switch (code) {
	case BR_ERR_UNSUPPORTED_VERSION:
		snprintf(text, cap, "the other side does not speak TLS 1.2");
		return ERR_UNSUPPORTED;
	case BR_ERR_BAD_MAC:
		snprintf(text, cap, "TLS record was altered on its way");
		return ERR_MALFORMED;
	case BR_ERR_BAD_VERSION:
	case BR_ERR_UNEXPECTED:
	case BR_ERR_BAD_LENGTH:
	case BR_ERR_TOO_LARGE:
		snprintf(text, cap, "the other side does not speak TLS on this port");
		return ERR_MALFORMED;
	default:
		snprintf(text, cap, "TLS failed (BearSSL error %d)", code);
		return ERR_MALFORMED;
	}
}

/* ---- buffers of a server at rest ------------------------------------------------------------------------------------------------- */

/* BearSSL asks for its buffers anew in each call, by the offsets it keeps (ssl_engine.c, "IMPLEMENTATION NOTES"). Between records there is nothing
 * behind those: ixa == ixb == 0 waits for the first byte of a record, oxa == oxc has gathered nothing for the next. Then any other memory of the
 * same size will do, and none at all while nobody calls. */
static bool is_at_rest(const struct tls *t)
{
	const br_ssl_engine_context *eng = &t->eng;

	return br_ssl_engine_current_state(eng) == (BR_SSL_SENDAPP | BR_SSL_RECVREC) && eng->ixa == 0 && eng->ixb == 0 && eng->oxa == eng->oxc;
}

static void rest(struct tls *t)
{
	if (!t->spare || !t->buffers || !is_at_rest(t))
		return;
	if (*t->spare)
		free_buffers(t);
	else
		*t->spare = t->buffers;
	t->buffers = NULL;
	t->eng.ibuf = t->eng.obuf = NULL;
}

/* False: out of memory, which ends this connection. */
static bool wake(struct tls *t)
{
	if (t->buffers)
		return true;
	t->buffers = *t->spare ? *t->spare : malloc(sizeof(*t->buffers));
	*t->spare = NULL;
	if (!t->buffers) {
		t->err = ERR_NOMEM;
		return false;
	}
	t->eng.ibuf = t->buffers->in;
	t->eng.obuf = t->buffers->out;
	return true;
}

static int note_error(struct tls *t)
{
	int code;

	if (t->err == 0 && t->buffers && br_ssl_engine_current_state(&t->eng) == BR_SSL_CLOSED) {
		code = br_ssl_engine_last_error(&t->eng);
		if (code != BR_ERR_OK)
			t->err = explain(t, code);
	}
	return t->err;
}

int tls_error(const struct tls *t)
{
	return t->err;
}

const char *tls_reason(const struct tls *t)
{
	return t->reason[0] ? t->reason : "TLS connection is well";
}

/* --- the pump ------------------------------------------------------------------------------------------------------------------------------ */

int tls_input(struct tls *t, struct span in, size_t *used)
{
	*used = 0;
	if (in.n == 0 || !wake(t))
		return note_error(t);
	while (in.n > 0 && br_ssl_engine_current_state(&t->eng) & BR_SSL_RECVREC) {
		size_t room;
		u8 *buf = br_ssl_engine_recvrec_buf(&t->eng, &room);
		size_t n = MIN(room, in.n);
		memcpy(buf, in.p, n);
		br_ssl_engine_recvrec_ack(&t->eng, n);
		in.p += n;
		in.n -= n;
		*used += n;
	}
	rest(t);
	return note_error(t);
}

int tls_input_eof(struct tls *t)
{
	if (note_error(t))
		return t->err;
	if (tls_is_closed(t))
		return 0;
	t->is_cut = true;
	t->err = ERR_TRUNCATED;
	snprintf(t->reason, sizeof(t->reason), "connection was cut without a TLS goodbye");
	return t->err;
}

struct span tls_output(struct tls *t)
{
	size_t n;
	u8 *buf;

	if (!t->buffers || !(br_ssl_engine_current_state(&t->eng) & BR_SSL_SENDREC))
		return SPAN_NONE;
	buf = br_ssl_engine_sendrec_buf(&t->eng, &n);
	return SPAN(buf, n);
}

void tls_output_done(struct tls *t, size_t n)
{
	if (n > 0)
		br_ssl_engine_sendrec_ack(&t->eng, n);
	note_error(t);
	rest(t);
}

struct span tls_read(struct tls *t)
{
	size_t n;
	u8 *buf;

	if (!t->buffers || !(br_ssl_engine_current_state(&t->eng) & BR_SSL_RECVAPP))
		return SPAN_NONE;
	buf = br_ssl_engine_recvapp_buf(&t->eng, &n);
	return SPAN(buf, n);
}

void tls_read_done(struct tls *t, size_t n)
{
	if (n > 0)
		br_ssl_engine_recvapp_ack(&t->eng, n);
	note_error(t);
	rest(t);
}

size_t tls_write(struct tls *t, struct span plain)
{
	size_t done = 0;

	if (plain.n == 0 || !wake(t))
		return 0;
	while (plain.n > 0 && br_ssl_engine_current_state(&t->eng) & BR_SSL_SENDAPP) {
		size_t room;
		u8 *buf = br_ssl_engine_sendapp_buf(&t->eng, &room);
		size_t n = MIN(room, plain.n);
		if (n == 0)
			break;
		memcpy(buf, plain.p, n);
		br_ssl_engine_sendapp_ack(&t->eng, n);
		plain.p += n;
		plain.n -= n;
		done += n;
	}
	br_ssl_engine_flush(&t->eng, 0);
	return done;
}

void tls_close(struct tls *t)
{
	if (wake(t))
		br_ssl_engine_close(&t->eng);
}

bool tls_is_ready(const struct tls *t)
{
	return t->err == 0 && (!t->buffers || br_ssl_engine_current_state(&t->eng) & (BR_SSL_SENDAPP | BR_SSL_RECVAPP));
}

const char *tls_protocol(const struct tls *t)
{
	return tls_is_ready(t) ? br_ssl_engine_get_selected_protocol((br_ssl_engine_context *)&t->eng) : NULL;
}

bool tls_is_closed(const struct tls *t)
{
	return t->is_cut || (t->buffers ? br_ssl_engine_current_state(&t->eng) == BR_SSL_CLOSED : t->err != 0);
}
