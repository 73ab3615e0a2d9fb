/* Who may ask: nonces, credentials, keys (spec 50 §3). Nothing is stored per request or per unknown client. */
#include "core/crypto/key.h"
#include "core/turn/credentials.h"
#include "core/turn/server_int.h"

/* A nonce is a time and a keyed hash of that time and the client's socket, in the shape of a UUID. */
#define NONCE_BYTES 16u

static void nonce_bytes(const struct turn_server *s, const struct endpoint *client, u32 seconds, u8 out[static NONCE_BYTES])
{
	u8 text[32];
	u8 mac[16];
	struct wr w = wr_init(text, sizeof(text));

	wr_bytes(&w, client->ip.b, sizeof(client->ip.b));
	wr_u8(&w, client->ip.family);
	wr_be16(&w, client->port);
	wr_be32(&w, seconds);
	put_be64(mac, siphash(&s->nonce_key[0], text, wr_len(&w)));
	put_be64(mac + 8, siphash(&s->nonce_key[1], text, wr_len(&w)));
	put_be32(out, seconds);
	memcpy(out + 4, mac, NONCE_BYTES - 4);
}

void auth_nonce(const struct turn_server *s, const struct endpoint *client, u64 now, char out[static NONCE_TEXT + 1])
{
	struct uuid id;

	nonce_bytes(s, client, (u32)(now / NSEC_PER_SEC), id.b);
	uuid_format(&id, out);
}

static bool nonce_is_valid(const struct turn_server *s, const struct turn_request *r, struct span nonce)
{
	struct uuid id;
	u8 want[NONCE_BYTES];

	if (nonce.n != NONCE_TEXT || uuid_parse(nonce, &id) != 0)
		return false;
	u32 issued = get_be32(id.b);
	nonce_bytes(s, &r->client, issued, want);
	return secret_eq(want, id.b, NONCE_BYTES) && (u32)((u32)(r->now / NSEC_PER_SEC) - issued) <= NONCE_LIFETIME;
}

static struct user_id user_id_of(const struct turn_server *s, struct span username)
{
	struct user_id id = {
		.a = siphash(&s->user_key[0], username.p, username.n),
		.b = siphash(&s->user_key[1], username.p, username.n),
	};
	return id;
}

static struct span realm_of(const struct turn_server *s)
{
	return SPAN(s->realm, strlen(s->realm));
}

static bool key_of_static_user(const struct turn_server *s, struct span username, u8 key[static STUN_KEY])
{
	for (size_t i = 0; i < s->n_users; i++) {
		const struct turn_static_user *u = &s->users[i];
		if (strlen(u->name) == username.n && memcmp(u->name, username.p, username.n) == 0) {
			memcpy(key, u->key, STUN_KEY);
			return true;
		}
	}
	return false;
}

/* The key of a username that is well formed, whoever sent it; `expiry` in Unix seconds. */
static bool derive_key(const struct turn_server *s, struct span username, u8 key[static STUN_KEY], u64 *expiry)
{
	char password[TURN_PASSWORD_SIZE];
	struct span expiry_text, rest;
	size_t n = 0;

	*expiry = UINT64_MAX;
	if (key_of_static_user(s, username, key))
		return true;
	if (turn_split_username(username, expiry, &expiry_text, &rest) != 0)
		return false;
	if (s->stamp_secret)
		n = turn_firezone_password(expiry_text, SPAN(s->stamp_secret, strlen(s->stamp_secret)), rest, password);
	else if (s->static_auth_secret)
		n = turn_rest_password(SPAN(s->static_auth_secret, strlen(s->static_auth_secret)), username, password);
	if (n > 0)
		stun_long_term_key(username, realm_of(s), SPAN(password, n), key);
	secret_wipe(password, sizeof(password));
	return n > 0;
}

/* The order of spec 50 §3.2; where a request fails several checks, the first one answers. */
int auth_check(const struct turn_server *s, struct turn_request *r)
{
	struct span username = SPAN_NONE, nonce;
	u64 expiry = 0;
	bool has_username = stun_get_text(r->m, ATTR_USERNAME, &username) == 0;

	if (has_username) {
		r->user = user_id_of(s, username);
		r->has_key = derive_key(s, username, r->key, &expiry);
	}
	if (r->m->integrity == 0 || !has_username || stun_get_text(r->m, ATTR_NONCE, &nonce) != 0)
		return STUN_UNAUTHORIZED;
	if (!nonce_is_valid(s, r, nonce))
		return STUN_STALE_NONCE;
	if (!r->has_key || expiry < r->wall / NSEC_PER_SEC)
		return STUN_UNAUTHORIZED;
	return stun_check_integrity(r->m, SPAN(r->key, STUN_KEY)) == 0 ? 0 : STUN_UNAUTHORIZED;
}
