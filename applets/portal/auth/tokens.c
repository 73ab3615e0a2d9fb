#include "applets/portal/auth/tokens.h"

#include "core/base/cursor.h"
#include "core/base/encode.h"
#include "core/crypto/hash.h"
#include "core/json/json.h"

#include <sodium.h>
#include <stdio.h>
#include <time.h>

#define BODY_LEN (1 + 16 + 16 + SECRET_LEN)

/* ---- the secrets file ------------------------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	size_t offset;
} secret_lines[] = {
	{ "token_key", offsetof(struct secrets, token_key) },
	{ "ingest_key", offsetof(struct secrets, ingest_key) },
};

void secrets_make(struct secrets *s, struct rng *rng)
{
	rng_fill(rng, s, sizeof(*s));
}

void secrets_format(const struct secrets *s, char out[static SECRETS_TEXT_MAX])
{
	struct wr w = wr_init(out, SECRETS_TEXT_MAX - 1);
	char hex[HEX_SIZE(SECRET_LEN)];

	wr_str(&w, "# emberbox portal: whoever reads this file can forge tokens; losing it invalidates them all\n");
	for (size_t i = 0; i < ARRAY_LEN(secret_lines); i++) {
		hex_encode(hex, sizeof(hex), SPAN((const u8 *)s + secret_lines[i].offset, SECRET_LEN));
		wr_str(&w, secret_lines[i].name);
		wr_str(&w, " ");
		wr_str(&w, hex);
		wr_str(&w, "\n");
	}
	*w.p = '\0';
	sodium_memzero(hex, sizeof(hex));
}

static int parse_line(struct secrets *s, struct span line)
{
	for (size_t i = 0; i < ARRAY_LEN(secret_lines); i++) {
		size_t n = strlen(secret_lines[i].name);

		if (line.n < n + 1 || memcmp(line.p, secret_lines[i].name, n) != 0 || line.p[n] != ' ')
			continue;
		int rc = hex_decode((u8 *)s + secret_lines[i].offset, SECRET_LEN, SPAN(line.p + n + 1, line.n - n - 1));
		return rc == SECRET_LEN ? (int)i : ERR_MALFORMED;
	}
	return ERR_MALFORMED;
}

int secrets_parse(struct secrets *s, struct span text)
{
	unsigned seen = 0;

	while (text.n > 0) {
		const u8 *end = memchr(text.p, '\n', text.n);
		struct span line = SPAN(text.p, end ? (size_t)(end - text.p) : text.n);

		text = SPAN(line.p + line.n + (end ? 1 : 0), text.n - line.n - (end ? 1 : 0));
		if (line.n == 0 || line.p[0] == '#')
			continue;
		int i = parse_line(s, line);
		if (i < 0)
			return ERR_MALFORMED;
		seen |= 1u << i;
	}
	return seen == (1u << ARRAY_LEN(secret_lines)) - 1 ? 0 : ERR_MALFORMED;
}

/* ---- tokens ------------------------------------------------------------------------------------------------------------------ */

static void make_mac(u8 out[static SHA256_LEN], const struct secrets *s, const u8 body[static BODY_LEN])
{
	const struct span parts[] = { SPAN_STR("emberbox token"), SPAN(body, BODY_LEN) };

	hmac_sha256_v(out, SPAN(s->token_key, SECRET_LEN), parts, ARRAY_LEN(parts));
}

static void make_hash(char out[static SECRET_HASH_LEN + 1], const char *nonce, const u8 secret[static SECRET_LEN], const char *salt)
{
	u8 text[TOKEN_NONCE_MAX + SECRET_LEN + SECRET_SALT_LEN + 1], digest[SHA256_LEN];
	struct wr w = wr_init(text, sizeof(text));

	wr_str(&w, nonce);
	wr_bytes(&w, secret, SECRET_LEN);
	wr_str(&w, salt);
	sha3_256(digest, wr_span(&w));
	hex_encode(out, SECRET_HASH_LEN + 1, SPAN(digest, sizeof(digest)));
	sodium_memzero(text, sizeof(text));
}

int token_mint(struct token *row, enum token_type type, const char *nonce, const struct secrets *s, struct rng *rng,
	       char out[static TOKEN_STRLEN])
{
	u8 body[BODY_LEN + SHA256_LEN], salt[16];
	char salt_text[BASE64URL_SIZE(16)], hash[SECRET_HASH_LEN + 1];
	struct wr w = wr_init(body, sizeof(body));
	size_t n = strlen(nonce);

	if (n > TOKEN_NONCE_MAX || strchr(nonce, '.'))
		return ERR_INVAL;
	row->e.id = uuid_random(rng);
	wr_u8(&w, (u8)type);
	wr_bytes(&w, row->e.account_id.b, 16);
	wr_bytes(&w, row->e.id.b, 16);
	u8 *secret = wr_reserve(&w, SECRET_LEN);
	rng_fill(rng, secret, SECRET_LEN);
	make_mac(body + BODY_LEN, s, body);

	rng_fill(rng, salt, sizeof(salt));
	base64url_encode(salt_text, sizeof(salt_text), SPAN(salt, sizeof(salt)));
	make_hash(hash, nonce, secret, salt_text);
	snprintf(out, TOKEN_STRLEN, "%s.", nonce);
	base64url_encode(out + n + 1, TOKEN_STRLEN - n - 1, SPAN(body, sizeof(body)));
	sodium_memzero(body, sizeof(body));
	int rc = text_set(&row->salt, salt_text);
	return rc ? rc : text_set(&row->hash, hash);
}

int token_open(struct token_claim *out, enum token_type type, const char *text, const struct secrets *s)
{
	u8 body[BODY_LEN + SHA256_LEN], mac[SHA256_LEN];
	const char *dot = strchr(text, '.');
	int rc = ERR_AUTH;

	memset(out, 0, sizeof(*out));
	if (!dot || dot - text > TOKEN_NONCE_MAX)
		return ERR_AUTH;
	int n = base64url_decode(body, sizeof(body), SPAN(dot + 1, strlen(dot + 1)));
	if (n != (int)sizeof(body))
		goto out;
	make_mac(mac, s, body);
	if (sodium_memcmp(mac, body + BODY_LEN, sizeof(mac)) != 0 || body[0] != (u8)type)
		goto out;
	out->nonce_len = (u8)(dot - text);
	memcpy(out->nonce, text, out->nonce_len);
	memcpy(out->account_id.b, body + 1, 16);
	memcpy(out->id.b, body + 17, 16);
	memcpy(out->secret, body + 33, SECRET_LEN);
	rc = 0;
out:
	sodium_memzero(body, sizeof(body));
	return rc;
}

bool token_matches(const struct token_claim *c, const struct token *row)
{
	char hash[SECRET_HASH_LEN + 1];

	if (!row->salt || !row->hash || strlen(row->salt) > SECRET_SALT_LEN || strlen(row->hash) != SECRET_HASH_LEN)
		return false;
	make_hash(hash, c->nonce, c->secret, row->salt);
	return sodium_memcmp(hash, row->hash, SECRET_HASH_LEN) == 0;
}

/* ---- flow-log ingest token ------------------------------------------------------------------------------------------------------ */

static void put_date(struct json_out *o, const char *key, i64 at)
{
	time_t t = (time_t)at;
	struct tm tm;
	char text[32];

	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	json_put_str(o, key, text);
}

static void put_known(struct json_out *o, const char *key, const char *value)
{
	if (value)
		json_put_str(o, key, value);
}

static void put_claims(struct json_out *o, const struct ingest_claims *c)
{
	json_open(o, NULL);
	json_put_uuid(o, "account_id", &c->account_id);
	json_put_i64(o, "iat", c->now);
	json_put_i64(o, "exp", c->expires_at + INGEST_GRACE_SECS);
	json_put_bool(o, "uploads_enabled", false);
	json_put_str(o, "role", c->role);
	json_put_uuid(o, "initiator_device_id", &c->initiator_device_id);
	json_put_uuid(o, "responder_device_id", &c->responder_device_id);
	json_put_uuid(o, "policy_authorization_id", &c->authorization_id);
	json_put_uuid(o, "policy_id", &c->policy_id);
	json_put_uuid(o, "resource_id", &c->resource_id);
	json_put_str(o, "resource_name", c->resource_name);
	put_known(o, "resource_address", c->resource_address);
	json_put_uuid(o, "initiator_actor_id", &c->actor_id);
	json_put_str(o, "initiator_actor_name", c->actor_name);
	put_known(o, "initiator_actor_email", c->actor_email);
	put_known(o, "initiator_auth_provider_id", c->auth_provider_id);
	put_known(o, "initiator_client_version", c->client_version);
	put_known(o, "initiator_device_os_name", c->os_name);
	put_known(o, "initiator_device_os_version", c->os_version);
	put_known(o, "initiator_device_serial", c->device_serial);
	put_known(o, "initiator_device_uuid", c->device_uuid);
	put_known(o, "initiator_device_identifier_for_vendor", c->identifier_for_vendor);
	put_known(o, "initiator_device_firebase_installation_id", c->firebase_installation_id);
	put_date(o, "authorized_at", c->now);
	put_date(o, "authorization_expires_at", c->expires_at);
	json_close(o);
}

int ingest_token(const struct ingest_claims *c, const struct secrets *s, char out[static INGEST_TOKEN_MAX])
{
	static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
	struct json_out claims = JSON_OUT;
	u8 mac[SHA256_LEN];
	int rc = ERR_TRUNCATED, n, m;

	put_claims(&claims, c);
	if (!json_ok(&claims)) {
		rc = claims.err;
		goto out;
	}
	n = base64url_encode(out, INGEST_TOKEN_MAX, SPAN_STR(header));
	out[n++] = '.';
	m = base64url_encode(out + n, INGEST_TOKEN_MAX - (size_t)n, json_text(&claims));
	if (m < 0 || n + m + 1 + (int)BASE64URL_SIZE(SHA256_LEN) > INGEST_TOKEN_MAX)
		goto out;
	n += m;
	hmac_sha256(mac, SPAN(s->ingest_key, SECRET_LEN), SPAN(out, (size_t)n));
	out[n++] = '.';
	base64url_encode(out + n, INGEST_TOKEN_MAX - (size_t)n, SPAN(mac, sizeof(mac)));
	rc = 0;
out:
	json_out_free(&claims);
	return rc;
}
