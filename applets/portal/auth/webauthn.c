#include "applets/portal/auth/webauthn.h"

#include "applets/portal/auth/cbor.h"
#include "core/base/encode.h"
#include "core/crypto/hash.h"
#include "core/http/url.h"
#include "core/json/json.h"

#include <bearssl.h>
#include <ctype.h>
#include <sodium.h>
#include <stdio.h>

#define FLAG_PRESENT 0x01u
#define FLAG_VERIFIED 0x04u
#define FLAG_BACKUP_ELIGIBLE 0x08u
#define FLAG_BACKED_UP 0x10u
#define FLAG_ATTESTED 0x40u
#define FLAG_EXTENSIONS 0x80u

/* COSE (RFC 9053) */
#define ALG_ES256 (-7)
#define ALG_EDDSA (-8)
#define KTY_OKP 1
#define KTY_EC2 2
#define CRV_P256 1
#define CRV_ED25519 6

#define POINT_LEN 65u
#define ED25519_LEN 32u
static const char es256[] = "es256:", ed25519[] = "ed25519:";

/* ---- where we are ------------------------------------------------------------------------------------------------------------------------- */

static bool has_suffix(const char *text, const char *suffix)
{
	size_t n = strlen(text), m = strlen(suffix);

	return n >= m && strcmp(text + n - m, suffix) == 0;
}

int webauthn_site_of(struct webauthn_site *out, const char *web_url)
{
	struct url u;

	memset(out, 0, sizeof(*out));
	if (url_parse(SPAN(web_url, strlen(web_url)), &u) != 0 || u.literal.family != 0 || u.host.n >= sizeof(out->rp_id))
		return ERR_UNSUPPORTED;
	for (size_t i = 0; i < u.host.n; i++)
		out->rp_id[i] = (char)tolower(u.host.p[i]);
	bool is_https = url_scheme_is(&u, "https");
	bool is_local = strcmp(out->rp_id, "localhost") == 0 || has_suffix(out->rp_id, ".localhost");
	if (!is_https && !(url_scheme_is(&u, "http") && is_local))
		return ERR_UNSUPPORTED;
	u16 usual = is_https ? 443 : 80;
	int n = snprintf(out->origin, sizeof(out->origin), "%s://%s", is_https ? "https" : "http", out->rp_id);
	if (u.port != 0 && u.port != usual)
		snprintf(out->origin + n, sizeof(out->origin) - (size_t)n, ":%u", (unsigned)u.port);
	return 0;
}

/* ---- asking ----------------------------------------------------------------------------------------------------------------------------------- */

static void put_bytes(struct json_out *o, const char *key, struct span bytes)
{
	char text[BASE64URL_SIZE(64)];

	if (base64url_encode(text, sizeof(text), bytes) < 0)
		text[0] = '\0';
	json_put_str(o, key, text);
}

static int deliver(struct strbuf *out, struct json_out *o)
{
	int rc = o->err;

	if (rc == 0) {
		struct span text = json_text(o);
		strbuf_add(out, text.p, text.n);
	}
	json_out_free(o);
	return rc ? rc : strbuf_ok(out) ? 0 : ERR_NOMEM;
}

static void put_algorithm(struct json_out *o, i64 alg)
{
	json_open(o, NULL);
	json_put_str(o, "type", "public-key");
	json_put_i64(o, "alg", alg);
	json_close(o);
}

int webauthn_creation(struct strbuf *out, const struct webauthn_site *site, const u8 challenge[static WEBAUTHN_CHALLENGE_LEN],
		      const char *network, struct span user_id, const char *email, const char *name, const char *const *exclude,
		      u32 n_exclude)
{
	struct json_out o = JSON_OUT;

	json_open(&o, NULL);
	json_open(&o, "rp");
	json_put_str(&o, "id", site->rp_id);
	json_put_str(&o, "name", network);
	json_close(&o);
	json_open(&o, "user");
	put_bytes(&o, "id", user_id);
	json_put_str(&o, "name", email);
	json_put_str(&o, "displayName", name);
	json_close(&o);
	put_bytes(&o, "challenge", SPAN(challenge, WEBAUTHN_CHALLENGE_LEN));
	json_open_array(&o, "pubKeyCredParams");
	put_algorithm(&o, ALG_EDDSA);
	put_algorithm(&o, ALG_ES256);
	json_close_array(&o);
	json_put_u64(&o, "timeout", WEBAUTHN_CHALLENGE_SECS * 1000);
	json_open_array(&o, "excludeCredentials");
	for (u32 i = 0; i < n_exclude && i < WEBAUTHN_EXCLUDE_MAX; i++) {
		json_open(&o, NULL);
		json_put_str(&o, "type", "public-key");
		json_put_str(&o, "id", exclude[i]);
		json_close(&o);
	}
	json_close_array(&o);
	json_open(&o, "authenticatorSelection");
	json_put_str(&o, "residentKey", "required");
	json_put_bool(&o, "requireResidentKey", true);
	json_put_str(&o, "userVerification", "required");
	json_close(&o);
	json_put_str(&o, "attestation", "none");
	json_close(&o);
	return deliver(out, &o);
}

int webauthn_request(struct strbuf *out, const struct webauthn_site *site, const u8 challenge[static WEBAUTHN_CHALLENGE_LEN])
{
	struct json_out o = JSON_OUT;

	json_open(&o, NULL);
	put_bytes(&o, "challenge", SPAN(challenge, WEBAUTHN_CHALLENGE_LEN));
	json_put_u64(&o, "timeout", WEBAUTHN_CHALLENGE_SECS * 1000);
	json_put_str(&o, "rpId", site->rp_id);
	json_open_array(&o, "allowCredentials");
	json_close_array(&o);
	json_put_str(&o, "userVerification", "required");
	json_close(&o);
	return deliver(out, &o);
}

/* ---- what both answers have ----------------------------------------------------------------------------------------------------------------------- */

/* W3C §7.1 steps 5-10, §7.2 steps 9-13. */
static int check_client_data(struct span text, const char *type, const struct webauthn_site *site,
			     const u8 challenge[static WEBAUTHN_CHALLENGE_LEN])
{
	static const struct json_limits limits = { WEBAUTHN_CLIENT_DATA_MAX, 128, 8 };
	struct json_get g = JSON_GET;
	u8 given[WEBAUTHN_CHALLENGE_LEN];
	struct cJSON *root;
	int rc = json_parse(text, &limits, &root);

	if (rc)
		return rc == ERR_NOMEM ? rc : ERR_MALFORMED;
	const char *its_type = json_str(&g, root, "type"), *its_challenge = json_str(&g, root, "challenge"),
		   *origin = json_str(&g, root, "origin");
	bool is_framed = json_bool_or(&g, root, "crossOrigin", false);
	rc = ERR_MALFORMED;
	if (g.err)
		goto out;
	rc = ERR_NOT_OURS;
	if (strcmp(its_type, type) != 0 || strcmp(origin, site->origin) != 0 || is_framed)
		goto out;
	rc = ERR_REPLAY;
	if (base64url_decode(given, sizeof(given), SPAN(its_challenge, strlen(its_challenge))) != (int)sizeof(given) ||
	    sodium_memcmp(given, challenge, sizeof(given)) != 0)
		goto out;
	rc = 0;
out:
	json_free(root);
	return rc;
}

struct auth_data {
	u8 flags;
	u32 sign_count;
	struct span id; /* of the credential, when attested */
	char key[WEBAUTHN_KEY_STRLEN];
};

static int read_key(struct rd *r, char out[static WEBAUTHN_KEY_STRLEN]);

/* W3C §6.1; then the steps of both ceremonies that look at it. */
static int read_auth_data(struct auth_data *out, struct span bytes, const struct webauthn_site *site)
{
	struct rd r = rd_span(bytes);
	u8 rp_hash[SHA256_LEN], given[SHA256_LEN];
	int rc = 0;

	memset(out, 0, sizeof(*out));
	rd_copy(&r, given, sizeof(given));
	out->flags = rd_u8(&r);
	out->sign_count = rd_be32(&r);
	if (out->flags & FLAG_ATTESTED) {
		rd_skip(&r, 16);
		out->id = rd_bytes(&r, rd_be16(&r));
		if (!rd_ok(&r) || out->id.n == 0 || out->id.n > WEBAUTHN_ID_MAX)
			return ERR_MALFORMED;
		rc = read_key(&r, out->key);
	}
	if (rc)
		return rc;
	if (out->flags & FLAG_EXTENSIONS) {
		if (rd_left(&r) == 0 || *r.p >> 5 != 5) /* a map */
			return ERR_MALFORMED;
		cbor_skip(&r);
	}
	if (!rd_done(&r) || (out->flags & (FLAG_BACKED_UP | FLAG_BACKUP_ELIGIBLE)) == FLAG_BACKED_UP)
		return ERR_MALFORMED;
	sha256(rp_hash, SPAN(site->rp_id, strlen(site->rp_id)));
	if (memcmp(given, rp_hash, sizeof(given)) != 0)
		return ERR_NOT_OURS;
	return (out->flags & FLAG_PRESENT) && (out->flags & FLAG_VERIFIED) ? 0 : ERR_DENIED;
}

/* ---- keys -------------------------------------------------------------------------------------------------------------------------------------------- */

static bool is_on_curve(const u8 point[static POINT_LEN])
{
	static const u8 one = 1;
	u8 copy[POINT_LEN];

	memcpy(copy, point, sizeof(copy));
	return br_ec_get_default()->mul(copy, sizeof(copy), &one, 1, BR_EC_secp256r1) == 1;
}

static void write_key(char out[static WEBAUTHN_KEY_STRLEN], const char *prefix, struct span key)
{
	int n = snprintf(out, WEBAUTHN_KEY_STRLEN, "%s", prefix);

	base64url_encode(out + n, WEBAUTHN_KEY_STRLEN - (size_t)n, key);
}

/* A COSE_Key: what matters are labels 1 (kind), 3 (algorithm), -1 (curve), -2 and -3 (coordinates), each at most once. */
static int read_key(struct rd *r, char out[static WEBAUTHN_KEY_STRLEN])
{
	static const i8 labels[] = { 1, 3, -1, -2, -3 };
	struct cbor value[ARRAY_LEN(labels)], map = cbor_next(r);
	u8 point[POINT_LEN] = { 4 };

	for (size_t i = 0; i < ARRAY_LEN(labels); i++)
		value[i].type = CBOR_NONE;
	if (map.type != CBOR_MAP)
		return ERR_MALFORMED;
	for (u64 n = 0; n < map.value && rd_ok(r); n++) {
		struct cbor label = cbor_next(r);
		size_t i = 0;
		while (i < ARRAY_LEN(labels) && !cbor_is_int(&label, labels[i]))
			i++;
		if (i == ARRAY_LEN(labels)) {
			if (label.type != CBOR_UINT && label.type != CBOR_NEGATIVE && label.type != CBOR_TEXT)
				return ERR_MALFORMED;
			cbor_skip(r);
			continue;
		}
		if (value[i].type != CBOR_NONE)
			return ERR_MALFORMED;
		value[i] = cbor_next(r);
		if (value[i].type == CBOR_ARRAY || value[i].type == CBOR_MAP)
			return ERR_UNSUPPORTED;
	}
	if (!rd_ok(r))
		return ERR_MALFORMED;

	const struct cbor *kind = &value[0], *alg = &value[1], *curve = &value[2], *x = &value[3], *y = &value[4];
	if (cbor_is_int(kind, KTY_EC2) && cbor_is_int(alg, ALG_ES256) && cbor_is_int(curve, CRV_P256)) {
		if (x->type != CBOR_BYTES || x->text.n != 32 || y->type != CBOR_BYTES || y->text.n != 32)
			return ERR_UNSUPPORTED; /* a compressed point, for one */
		memcpy(point + 1, x->text.p, 32);
		memcpy(point + 33, y->text.p, 32);
		if (!is_on_curve(point))
			return ERR_MALFORMED;
		write_key(out, es256, SPAN(point, sizeof(point)));
		return 0;
	}
	if (cbor_is_int(kind, KTY_OKP) && cbor_is_int(alg, ALG_EDDSA) && cbor_is_int(curve, CRV_ED25519)) {
		if (x->type != CBOR_BYTES || x->text.n != ED25519_LEN)
			return ERR_UNSUPPORTED;
		write_key(out, ed25519, x->text);
		return 0;
	}
	return ERR_UNSUPPORTED;
}

static bool take_key(const char *text, const char *prefix, u8 *out, size_t n)
{
	size_t m = strlen(prefix);

	return strncmp(text, prefix, m) == 0 && base64url_decode(out, n, SPAN(text + m, strlen(text + m))) == (int)n;
}

static int check_signature(const char *key, struct span auth_data, const u8 client_hash[static SHA256_LEN], struct span signature)
{
	u8 point[POINT_LEN], edkey[ED25519_LEN], message[SHA256_LEN];
	const struct span parts[] = { auth_data, SPAN(client_hash, SHA256_LEN) };

	if (signature.n > WEBAUTHN_SIGNATURE_MAX)
		return ERR_MALFORMED;
	if (take_key(key, es256, point, sizeof(point))) {
		const br_ec_public_key pk = { BR_EC_secp256r1, point, sizeof(point) };
		sha256_v(message, parts, ARRAY_LEN(parts));
		return br_ecdsa_vrfy_asn1_get_default()(br_ec_get_default(), message, sizeof(message), &pk, signature.p, signature.n) == 1 ?
			       0 :
			       ERR_AUTH;
	}
	if (take_key(key, ed25519, edkey, sizeof(edkey))) {
		u8 whole[WEBAUTHN_CLIENT_DATA_MAX];
		struct wr w = wr_init(whole, sizeof(whole));
		wr_bytes(&w, auth_data.p, auth_data.n);
		wr_bytes(&w, client_hash, SHA256_LEN);
		if (!wr_ok(&w))
			return ERR_MALFORMED;
		return signature.n == crypto_sign_BYTES && crypto_sign_verify_detached(signature.p, whole, wr_len(&w), edkey) == 0 ? 0 : ERR_AUTH;
	}
	return ERR_UNSUPPORTED;
}

/* ---- the two ceremonies ---------------------------------------------------------------------------------------------------------------------------------- */

/* The attestation object: {"fmt": text, "attStmt": map, "authData": bytes}. */
static int read_object(struct span object, struct span *auth_data)
{
	struct rd r = rd_span(object);
	struct cbor map = cbor_next(&r);
	bool has_format = false, has_statement = false;

	*auth_data = SPAN_NONE;
	if (map.type != CBOR_MAP)
		return ERR_MALFORMED;
	for (u64 n = 0; n < map.value && rd_ok(&r); n++) {
		struct cbor key = cbor_next(&r);
		if (cbor_is_text(&key, "authData") && !auth_data->p) {
			struct cbor v = cbor_next(&r);
			if (v.type != CBOR_BYTES)
				return ERR_MALFORMED;
			*auth_data = v.text;
		} else if (cbor_is_text(&key, "fmt") && !has_format) {
			has_format = cbor_next(&r).type == CBOR_TEXT;
		} else if (cbor_is_text(&key, "attStmt") && !has_statement) {
			has_statement = rd_left(&r) > 0 && *r.p >> 5 == 5;
			cbor_skip(&r);
		} else {
			return ERR_MALFORMED;
		}
	}
	return rd_done(&r) && auth_data->p && has_format && has_statement ? 0 : ERR_MALFORMED;
}

int webauthn_register(struct webauthn_credential *out, const struct webauthn_site *site, const u8 challenge[static WEBAUTHN_CHALLENGE_LEN],
		      struct span client_data, struct span attestation_object)
{
	struct auth_data a;
	struct span bytes;

	memset(out, 0, sizeof(*out));
	if (attestation_object.n > WEBAUTHN_OBJECT_MAX)
		return ERR_MALFORMED;
	int rc = check_client_data(client_data, "webauthn.create", site, challenge);
	rc = rc ? rc : read_object(attestation_object, &bytes);
	rc = rc ? rc : read_auth_data(&a, bytes, site);
	if (rc)
		return rc;
	if (!(a.flags & FLAG_ATTESTED))
		return ERR_MALFORMED;
	memcpy(out->id, a.id.p, a.id.n);
	out->id_len = (u32)a.id.n;
	memcpy(out->key, a.key, sizeof(out->key));
	out->sign_count = a.sign_count;
	out->is_backed_up = (a.flags & FLAG_BACKED_UP) != 0;
	return 0;
}

int webauthn_assert(u32 *new_count, const struct webauthn_site *site, const u8 challenge[static WEBAUTHN_CHALLENGE_LEN], const char *key,
		    u32 sign_count, struct span client_data, struct span auth_data, struct span signature)
{
	struct auth_data a;
	u8 client_hash[SHA256_LEN];
	int rc = check_client_data(client_data, "webauthn.get", site, challenge);

	rc = rc ? rc : read_auth_data(&a, auth_data, site);
	if (rc)
		return rc;
	sha256(client_hash, client_data);
	rc = check_signature(key, auth_data, client_hash, signature);
	if (rc)
		return rc;
	/* W3C §7.2 step 21: authenticators without a counter say 0 for ever. */
	if ((a.sign_count != 0 || sign_count != 0) && a.sign_count <= sign_count)
		return ERR_REPLAY;
	*new_count = a.sign_count;
	return 0;
}
