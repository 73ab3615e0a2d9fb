#include "applets/portal/auth/credentials.h"

#include "core/base/encode.h"

#include <sodium.h>

static u64 wall_of(const struct exchange *x)
{
	return loop_wall(x->loop);
}

/* ---- reading ---------------------------------------------------------------------------------------------------------------------------------- */

static const char *const type_names[] = { [CREDENTIAL_PASSKEY] = "passkey",
					  [CREDENTIAL_PASSWORD] = "password",
					  [CREDENTIAL_TOTP] = "totp",
					  [CREDENTIAL_RECOVERY_CODE] = "recovery_code" };

struct wanted {
	char actor[UUID_STRLEN];
	struct store_filter filter[2];
	u32 n;
};

static void want(struct wanted *w, const struct uuid *actor, int type)
{
	w->filter[0] = (struct store_filter){ "actor_id", FILTER_IS, uuid_format(actor, w->actor) };
	w->n = 1;
	if (type >= 0)
		w->filter[w->n++] = (struct store_filter){ "type", FILTER_IS, type_names[type] };
}

int credentials_each(struct exchange *x, const struct uuid *account, const struct uuid *actor, int type,
		     int (*each)(void *ctx, enum kind k, const void *row), void *ctx)
{
	struct wanted w;

	want(&w, actor, type);
	return store_select(x->portal->store, KIND_CREDENTIAL, account, w.filter, w.n, 0, each, ctx);
}

int credentials_find(struct exchange *x, const struct uuid *account, const struct uuid *actor, int type, struct credential *out)
{
	struct wanted w;

	want(&w, actor, type);
	return store_find(x->portal->store, KIND_CREDENTIAL, account, w.filter, w.n, out);
}

int credentials_passkey(struct exchange *x, const struct uuid *account, struct span id, struct credential *out)
{
	char text[BASE64URL_SIZE(WEBAUTHN_ID_MAX)];
	const struct store_filter filter = { "credential_id", FILTER_IS, text };

	if (id.n == 0 || base64url_encode(text, sizeof(text), id) < 0)
		return ERR_NOT_FOUND;
	return store_find(x->portal->store, KIND_CREDENTIAL, account, &filter, 1, out);
}

static int count_way(void *ctx, enum kind k, const void *row)
{
	const struct credential *c = row;

	(void)k;
	*(u32 *)ctx += c->type == CREDENTIAL_PASSKEY || c->type == CREDENTIAL_PASSWORD;
	return 0;
}

int credentials_ways(struct exchange *x, const struct uuid *account, const struct uuid *actor, u32 *n)
{
	*n = 0;
	return credentials_each(x, account, actor, -1, count_way, n);
}

/* ---- writing ------------------------------------------------------------------------------------------------------------------------------------- */

static int insert(struct exchange *x, const struct actor *actor, struct credential *row)
{
	row->e.account_id = actor->e.account_id;
	row->actor_id = actor->e.id;
	row->is_confirmed = true;
	row->e.id = uuid_random(x->portal->rng);
	return store_insert(x->portal->store, KIND_CREDENTIAL, row, wall_of(x));
}

static int insert_hash(struct exchange *x, const struct actor *actor, int type, const char *hash, i64 sign_count)
{
	struct credential row;

	entity_init(KIND_CREDENTIAL, &row);
	row.type = type;
	row.sign_count = sign_count;
	int rc = text_set(&row.hash, hash);
	rc = rc ? rc : insert(x, actor, &row);
	entity_deinit(KIND_CREDENTIAL, &row);
	return rc;
}

int credentials_add_passkey(struct exchange *x, const struct actor *actor, const struct webauthn_credential *made, const char *name)
{
	struct credential row;
	char id[BASE64URL_SIZE(WEBAUTHN_ID_MAX)];

	entity_init(KIND_CREDENTIAL, &row);
	row.type = CREDENTIAL_PASSKEY;
	row.sign_count = made->sign_count;
	base64url_encode(id, sizeof(id), SPAN(made->id, made->id_len));
	int rc = text_set(&row.credential_id, id);
	rc = rc ? rc : text_set(&row.public_key, made->key);
	rc = rc ? rc : text_set(&row.name, name && *name ? name : made->is_backed_up ? "Synced passkey" : "Passkey");
	rc = rc ? rc : insert(x, actor, &row);
	entity_deinit(KIND_CREDENTIAL, &row);
	return rc;
}

#define DOOMED_MAX 64u

struct doomed {
	struct uuid id[DOOMED_MAX];
	u32 n;
};

static int doom(void *ctx, enum kind k, const void *row)
{
	struct doomed *d = ctx;

	(void)k;
	if (d->n < DOOMED_MAX)
		d->id[d->n++] = ((const struct credential *)row)->e.id;
	return 0;
}

int credentials_delete_type(struct exchange *x, const struct uuid *account, const struct uuid *actor, int type)
{
	struct doomed d = { .n = 0 };
	int rc = credentials_each(x, account, actor, type, doom, &d);

	for (u32 i = 0; i < d.n && !rc; i++)
		rc = store_delete(x->portal->store, KIND_CREDENTIAL, account, &d.id[i]);
	return rc;
}

int credentials_set_password(struct exchange *x, const struct actor *actor, const char *phc, const u8 totp[static TOTP_SECRET_LEN], u64 step)
{
	const struct uuid *account = &actor->e.account_id;
	char sealed[TOTP_SEALED_STRLEN];
	int rc = credentials_delete_type(x, account, &actor->e.id, CREDENTIAL_PASSWORD);

	rc = rc ? rc : credentials_delete_type(x, account, &actor->e.id, CREDENTIAL_TOTP);
	totp_seal(sealed, totp, &actor->e.id, &x->portal->secrets, x->portal->rng);
	rc = rc ? rc : insert_hash(x, actor, CREDENTIAL_PASSWORD, phc, 0);
	return rc ? rc : insert_hash(x, actor, CREDENTIAL_TOTP, sealed, (i64)step);
}

int credentials_make_codes(struct exchange *x, const struct actor *actor, char code[static RECOVERY_CODES][RECOVERY_STRLEN])
{
	char kept[RECOVERY_HASH_STRLEN];
	int rc = credentials_delete_type(x, &actor->e.account_id, &actor->e.id, CREDENTIAL_RECOVERY_CODE);

	for (u32 i = 0; i < RECOVERY_CODES && !rc; i++) {
		recovery_make(x->portal->rng, code[i], kept);
		rc = insert_hash(x, actor, CREDENTIAL_RECOVERY_CODE, kept, 0);
	}
	return rc;
}

/* ---- using --------------------------------------------------------------------------------------------------------------------------------------------- */

static int save(struct exchange *x, struct credential *row)
{
	const struct principal who = { .kind = PRINCIPAL_SYSTEM, .account_id = row->e.account_id, .actor_id = row->actor_id };
	int rc = auth_begin(x, &who);

	row->used_at = (i64)(wall_of(x) / 1000);
	return rc ? rc : auth_end(x, store_update(x->portal->store, KIND_CREDENTIAL, row, wall_of(x)));
}

int credentials_touch(struct exchange *x, struct credential *row, i64 sign_count)
{
	row->sign_count = sign_count;
	return save(x, row);
}

static int spend_totp(struct exchange *x, const struct actor *actor, const char *text)
{
	struct credential row;
	u8 secret[TOTP_SECRET_LEN];
	u64 step;
	int rc = credentials_find(x, &actor->e.account_id, &actor->e.id, CREDENTIAL_TOTP, &row);

	if (rc)
		return rc == ERR_NOT_FOUND ? ERR_AUTH : rc;
	rc = totp_unseal(secret, row.hash ? row.hash : "", &actor->e.id, &x->portal->secrets);
	rc = rc ? rc : totp_verify(secret, text, wall_of(x), (u64)row.sign_count, &step);
	rc = rc ? rc : credentials_touch(x, &row, (i64)step);
	sodium_memzero(secret, sizeof(secret));
	entity_deinit(KIND_CREDENTIAL, &row);
	return rc;
}

struct search {
	const char *text;
	struct credential found;
	bool is_found;
};

static int compare(void *ctx, enum kind k, const void *row)
{
	const struct credential *c = row;
	struct search *s = ctx;

	if (c->used_at || s->is_found || !c->hash || !recovery_matches(s->text, c->hash))
		return 0;
	s->is_found = true;
	return entity_copy(k, &s->found, c);
}

static int spend_recovery(struct exchange *x, const struct actor *actor, const char *text)
{
	struct search s = { .text = text };
	int rc = credentials_each(x, &actor->e.account_id, &actor->e.id, CREDENTIAL_RECOVERY_CODE, compare, &s);

	if (!s.is_found)
		return rc ? rc : ERR_AUTH;
	rc = rc ? rc : save(x, &s.found);
	entity_deinit(KIND_CREDENTIAL, &s.found);
	return rc;
}

int credentials_spend_code(struct exchange *x, const struct actor *actor, const char *text, bool may_be_totp)
{
	int rc = may_be_totp ? spend_totp(x, actor, text) : ERR_AUTH;

	return rc == ERR_AUTH ? spend_recovery(x, actor, text) : rc;
}
