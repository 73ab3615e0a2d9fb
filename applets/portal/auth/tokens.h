/* applets/portal/auth/tokens.h: the opaque tokens that clients, gateways and relays carry (spec 60 §3.1, spec 10 §2).
 *
 *	token  = nonce "." base64url(body)                            shown once, when it is made
 *	body   = type(1) account(16) id(16) secret(32) mac(32)        mac = HMAC-SHA256(token key, type account id secret)
 *	stored = salt, hex SHA3-256(nonce secret salt)
 *
 * The mac is checked before the store is asked, and covers the type: a token of one kind is nothing elsewhere. The nonce is empty but for
 * GUI clients, who put their own in front.
 */
#pragma once

#include "applets/portal/model/entity.h"
#include "core/base/rng.h"

enum token_type { TOKEN_CLIENT = 1, TOKEN_GATEWAY = 2, TOKEN_RELAY = 3, TOKEN_API = 4 };

#define SECRET_LEN 32
#define TOKEN_NONCE_MAX 128
#define TOKEN_STRLEN (TOKEN_NONCE_MAX + 1 + 130 + 1)

/* Made by `portal init`, kept in a file of mode 0600. Wiped by the owner. */
struct secrets {
	u8 token_key[SECRET_LEN];
	u8 ingest_key[SECRET_LEN]; /* signs what flow-log uploads would present (spec 10 §14) */
};

#define SECRETS_TEXT_MAX 512

void secrets_make(struct secrets *s, struct rng *rng);
/* As the lines of the file; ERR_MALFORMED when one is missing or is not 64 hex digits. */
void secrets_format(const struct secrets *s, char out[static SECRETS_TEXT_MAX]);
int secrets_parse(struct secrets *s, struct span text) MUST_CHECK;

struct token_claim {
	struct uuid account_id, id;
	u8 nonce_len;
	char nonce[TOKEN_NONCE_MAX + 1];
	u8 secret[SECRET_LEN];
};

/* Draws id, secret and salt for a row whose account, owner, name and expiry the caller has set; writes the text to show once. */
int token_mint(struct token *row, enum token_type type, const char *nonce, const struct secrets *s, struct rng *rng,
	       char out[static TOKEN_STRLEN]) MUST_CHECK;

/* Integrity and type. ERR_AUTH otherwise, for whatever reason. Wipe the claim afterwards. */
int token_open(struct token_claim *out, enum token_type type, const char *text, const struct secrets *s) MUST_CHECK;

/* Does the row belong to the claim? Constant time. */
bool token_matches(const struct token_claim *c, const struct token *row);

/* The three-part token that 1.6 peers demand in authorizations, telling them not to upload (spec 10 §14). */
struct ingest_claims {
	const char *role; /* "initiator" or "responder" */
	struct uuid account_id, initiator_device_id, responder_device_id, authorization_id, policy_id, resource_id, actor_id;
	const char *resource_name, *actor_name;
	/* each or NULL, and then not among the claims; of the initiator but for the address */
	const char *resource_address, *actor_email, *auth_provider_id, *client_version, *os_name, *os_version, *device_serial, *device_uuid,
		*identifier_for_vendor, *firebase_installation_id;
	i64 now, expires_at; /* Unix seconds; of the authorization: the token lives longer, for reports that come late */
};
#define INGEST_GRACE_SECS (30 * 86400)
#define INGEST_TOKEN_MAX 20480
/* ERR_TRUNCATED when a name makes it longer than INGEST_TOKEN_MAX. */
int ingest_token(const struct ingest_claims *c, const struct secrets *s, char out[static INGEST_TOKEN_MAX]) MUST_CHECK;
