#include "applets/portal/web/key_draft.h"

#include "core/base/cursor.h"
#include "core/base/encode.h"
#include "core/crypto/aead.h"
#include "core/crypto/hash.h"

#include <sodium.h>
#include <string.h>

#define NONCE_LEN 24u
#define TAG_LEN 16u
#define SEALED_MAX (NONCE_LEN + KEY_DRAFT_MAX + TAG_LEN)

static void seal_key(u8 key[static SHA256_LEN], const struct secrets *s)
{
	hmac_sha256(key, SPAN(s->token_key, SECRET_LEN), SPAN_STR("emberbox key draft"));
}

const char *key_draft_seal(struct web *w, const struct okta_key_texts *t)
{
	const char *const texts[] = { t->private_jwk, t->public_jwk, t->kid };
	u8 key[SHA256_LEN], plain[KEY_DRAFT_MAX], sealed[SEALED_MAX];
	struct wr out = wr_init(plain, sizeof(plain));
	char *text = NULL;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		wr_bytes(&out, texts[i], strlen(texts[i]) + 1);
	if (wr_ok(&out)) {
		size_t n = NONCE_LEN + wr_len(&out) + TAG_LEN;
		seal_key(key, &w->x->portal->secrets);
		rng_fill(w->x->portal->rng, sealed, NONCE_LEN);
		xaead_seal_ad(key, sealed, SPAN(w->me.session_id.b, sizeof(w->me.session_id.b)), SPAN(plain, wr_len(&out)), sealed + NONCE_LEN);
		text = exchange_alloc(w->x, BASE64URL_SIZE(n));
		if (text)
			base64url_encode(text, BASE64URL_SIZE(n), SPAN(sealed, n));
		sodium_memzero(key, sizeof(key));
	}
	sodium_memzero(plain, sizeof(plain));
	return text;
}

int key_draft_open(struct web *w, const char *sealed, struct okta_key_texts *t)
{
	u8 key[SHA256_LEN], raw[SEALED_MAX];
	int n = base64url_decode(raw, sizeof(raw), SPAN(sealed, strlen(sealed))), rc = ERR_AUTH;
	const char **const texts[] = { &t->private_jwk, &t->public_jwk, &t->kid };
	char *plain;

	if (n <= (int)(NONCE_LEN + TAG_LEN))
		return ERR_AUTH;
	size_t len = (size_t)n - NONCE_LEN - TAG_LEN;
	plain = exchange_alloc(w->x, len + 1);
	if (!plain)
		return ERR_NOMEM;
	seal_key(key, &w->x->portal->secrets);
	rc = xaead_open_ad(key, raw, SPAN(w->me.session_id.b, sizeof(w->me.session_id.b)), SPAN(raw + NONCE_LEN, len + TAG_LEN), (u8 *)plain);
	sodium_memzero(key, sizeof(key));
	for (size_t i = 0, at = 0; !rc && i < ARRAY_LEN(texts); i++, at += strlen(plain + at) + 1) {
		if (at >= len)
			return ERR_AUTH;
		*texts[i] = plain + at;
	}
	return rc ? ERR_AUTH : 0;
}
