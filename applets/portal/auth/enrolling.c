#include "applets/portal/auth/enrolling.h"

#include "applets/portal/web/templates.h"
#include "core/base/qr.h"
#include "core/crypto/hash.h"

#include <sodium.h>
#include <stdio.h>

void enrolling_totp(struct exchange *x, struct span bearer, const struct uuid *salt, u8 secret[static TOTP_SECRET_LEN])
{
	const struct span parts[] = { SPAN_STR("emberbox enrol app"), bearer, SPAN(salt->b, sizeof(salt->b)) };
	u8 mac[SHA256_LEN];

	hmac_sha256_v(mac, SPAN(x->portal->secrets.token_key, SECRET_LEN), parts, ARRAY_LEN(parts));
	memcpy(secret, mac, TOTP_SECRET_LEN);
	sodium_memzero(mac, sizeof(mac));
}

/* Each run of dark squares in a row is a rectangle. */
static const char *squares(struct exchange *x, const struct qr *q)
{
	struct strbuf path = { 0 };
	int n = (int)q->size;

	for (int row = 0; row < n; row++)
		for (int col = 0, end; col < n; col = end) {
			for (end = col; end < n && qr_is_dark(q, end, row) == qr_is_dark(q, col, row); end++)
				;
			if (qr_is_dark(q, col, row))
				strbuf_printf(&path, "M%d %dh%dv1h-%dz", col + (int)QR_QUIET, row + (int)QR_QUIET, end - col, end - col);
		}
	const char *out = pages_text(x, "%s", strbuf_text(&path));
	strbuf_free(&path);
	return out;
}

struct totp_view enrolling_totp_view(struct exchange *x, const struct account *account, const struct actor *actor,
				     const u8 secret[static TOTP_SECRET_LEN])
{
	struct totp_view v = { .size = 0 };
	char letters[48];
	struct strbuf uri = { 0 };
	struct qr *q = exchange_alloc(x, sizeof(*q));

	totp_spell(letters, secret);
	totp_uri(&uri, account->name, actor->email ? actor->email : actor->name, secret);
	v.letters = pages_text(x, "%s", letters);
	v.uri = pages_text(x, "%s", strbuf_text(&uri));
	if (q && qr_encode(q, strbuf_span(&uri)) == 0) {
		v.size = q->size + 2 * QR_QUIET;
		v.squares = squares(x, q);
	}
	strbuf_free(&uri);
	sodium_memzero(letters, sizeof(letters));
	return v;
}

struct known {
	struct exchange *x;
	const char *id[WEBAUTHN_EXCLUDE_MAX];
	u32 n;
};

static int note(void *ctx, enum kind k, const void *row)
{
	const struct credential *c = row;
	struct known *l = ctx;

	(void)k;
	if (l->n < WEBAUTHN_EXCLUDE_MAX && c->credential_id)
		l->id[l->n++] = pages_text(l->x, "%s", c->credential_id);
	return 0;
}

const char *enrolling_options(struct exchange *x, const struct account *account, const struct actor *actor)
{
	const u8 *challenge = pages_challenge(x, 'e');
	struct known known = { .x = x };
	struct strbuf json = { 0 };
	const char *out = NULL;

	if (!challenge || credentials_each(x, &account->e.id, &actor->e.id, CREDENTIAL_PASSKEY, note, &known) != 0)
		return NULL;
	if (webauthn_creation(&json, &x->portal->auth->site, challenge, account->name, SPAN(actor->e.id.b, sizeof(actor->e.id.b)),
			      actor->email ? actor->email : actor->name, actor->name, known.id, known.n) == 0)
		out = pages_text(x, "%s", strbuf_text(&json));
	strbuf_free(&json);
	return out;
}

int enrolling_passkey(struct exchange *x, struct webauthn_credential *out)
{
	u8 challenge[WEBAUTHN_CHALLENGE_LEN];
	struct span client_data, object;
	int rc = pages_take_challenge(x, 'e', challenge);

	rc = rc ? rc : pages_field_bytes(x, "client_data", WEBAUTHN_CLIENT_DATA_MAX, &client_data);
	rc = rc ? rc : pages_field_bytes(x, "attestation", WEBAUTHN_OBJECT_MAX, &object);
	return rc ? rc : webauthn_register(out, &x->portal->auth->site, challenge, client_data, object);
}

const char *enrolling_complaint(int rc)
{
	switch (rc) {
	case ERR_EXPIRED:
	case ERR_REPLAY:
		return "That took too long. Try again.";
	case ERR_DENIED:
		return "Your device did not check that it is you. Set up its PIN, fingerprint or face, then try again.";
	case ERR_UNSUPPORTED:
		return "This device makes a kind of key that is not supported. Take another device, or a password.";
	case ERR_EXISTS:
		return "This passkey is set up already.";
	case ERR_NOT_OURS:
		return "This portal was opened under another address than the one it knows. Ask who runs it.";
	default:
		return "The passkey was not accepted. Try again, or take a password.";
	}
}

void enrolling_form(struct password_form *f, const char *action, const char *submit)
{
	*f = (struct password_form){
		.field = { { .name = "password", .label = "Password", .kind = INPUT_PASSWORD, .autocomplete = "new-password", .max = 256, .is_required = true,
			     .help = "At least 10 characters. A few words in a row are good." },
			   { .name = "again", .label = "The same again", .kind = INPUT_PASSWORD, .autocomplete = "new-password", .max = 256,
			     .is_required = true } },
		.form = { .action = action, .submit = submit },
	};
	f->form.fields = f->field;
	f->form.n_fields = ARRAY_LEN(f->field);
}

int enrolling_check(struct exchange *x, struct password_form *f, const struct account *account, const struct actor *actor,
		    const u8 secret[static TOTP_SECRET_LEN], u64 *step)
{
	const char *password = exchange_form(x, "password"), *again = exchange_form(x, "again"), *code = exchange_form(x, "code");
	const char *why = password_complaint(password ? password : "", actor->email, actor->name, account->name);

	f->form.fields = f->field;
	if (why)
		form_error(&f->form, "password", why);
	else if (strcmp(password, again ? again : "") != 0)
		form_error(&f->form, "again", "This is not the same. Type both anew.");
	else if (totp_verify(secret, code ? code : "", loop_wall(x->loop), 0, step) != 0)
		form_error(&f->form, NULL, "The code of the app is not right. Check the key in the app, and the clock of your phone; then type both anew.");
	else
		return 0;
	return ERR_INVAL;
}

void enrolling_show_codes(struct exchange *x, const struct account *account, char code[static RECOVERY_CODES][RECOVERY_STRLEN], const char *next,
			  const char *next_label)
{
	struct codes_view v = { .n = RECOVERY_CODES, .next = next, .next_label = next_label };
	struct page page = pages_frame(x, account, "Your recovery codes", NULL);

	for (u32 i = 0; i < RECOVERY_CODES; i++)
		v.code[i] = code[i];
	template_recovery_codes(&x->out, &page, &v);
	sodium_memzero(code, RECOVERY_CODES * RECOVERY_STRLEN);
	pages_send(x, 200);
}
