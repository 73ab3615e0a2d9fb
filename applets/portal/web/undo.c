#include "applets/portal/web/undo.h"

#include "applets/portal/admin/verbs.h"
#include "applets/portal/web/pages.h"
#include "core/base/cursor.h"
#include "core/base/encode.h"

#include <string.h>

#define COOKIE "undo"
#define NONCE_LEN 8u
#define NONCE_STRLEN BASE64URL_SIZE(NONCE_LEN)

/* ---- what takes an action back ------------------------------------------------------------------------------------------------------ */

static const struct {
	const char *noun, *verb, *back, *said;
} opposites[] = {
	{ "policy", "disable", "enable", "It holds again. Connections that ended begin anew." },
	{ "policy", "enable", "disable", "It is disabled again." },
	{ "actor", "disable", "enable", "Enabled again. Sessions and tokens that ended stay ended: sign in anew, make new tokens." },
	{ "actor", "enable", "disable", "Disabled again." },
	{ "api-client", "disable", "enable", "Enabled again. Tokens that ended stay ended." },
	{ "api-client", "enable", "disable", "Disabled again." },
	{ "provider", "enable", "disable", "Disabled again." },
	{ "provider", "disable", "enable", "Enabled again. Sessions that ended stay ended: people sign in anew." },
	{ "directory", "disable", "enable", "It is synced again." },
	{ "directory", "enable", "disable", "It is synced no more." },
	{ "client", "verify", "unverify", "Not verified, as before." },
	{ "client", "unverify", "verify", "Verified again. Connections that ended begin anew." },
	{ "member", "add", "delete", "Not a member, as before." },
	{ "member", "delete", "add", "A member again. Connections that ended begin anew." },
};

bool undo_opposite(struct undo *u, const char *noun, const char *verb, const char *href)
{
	for (size_t i = 0; i < ARRAY_LEN(opposites); i++)
		if (strcmp(opposites[i].noun, noun) == 0 && strcmp(opposites[i].verb, verb) == 0) {
			*u = (struct undo){ .noun = opposites[i].noun, .verb = opposites[i].back, .href = href, .said = opposites[i].said };
			return true;
		}
	return false;
}

void undo_set(struct undo *u, const char *name, const char *value)
{
	if (value && u->n_fields < UNDO_FIELDS_MAX)
		u->field[u->n_fields++] = (struct admin_field){ name, value };
	else
		u->is_too_much |= value != NULL;
}

void undo_target(struct web *w, struct undo *u, enum kind k, const struct uuid *id)
{
	const struct entity *e = web_find(w, k, id);

	if (!e || u->n_targets == UNDO_TARGETS_MAX) {
		u->is_too_much = true;
		return;
	}
	u->target[u->n_targets].id = e->id;
	u->target[u->n_targets++].updated_at = e->updated_at;
}

void undo_form(struct web *w, struct undo *u, const struct form *f)
{
	for (u32 i = 0; i < f->n_fields; i++) {
		const struct form_field *field = &f->fields[i];

		if (field->kind == INPUT_CHECKBOX)
			undo_set(u, field->name, field->value && *field->value ? "true" : "false");
		else if (field->kind != INPUT_HIDDEN)
			undo_set(u, field->name, web_text(w, "%s", field->value ? field->value : ""));
	}
}

bool undo_of_action(struct web *w, struct undo *u, const struct action *a, const char *href)
{
	const struct noun *noun = find_noun(a->rq.noun);
	struct uuid id;

	if (!noun || !undo_opposite(u, a->rq.noun, a->rq.verb, href))
		return false;
	for (u32 i = 0; i < a->rq.n_fields; i++) {
		const char *name = a->rq.field[i].name, *value = a->rq.field[i].value;
		if (strcmp(name, "target") == 0 && uuid_parse(SPAN(value, strlen(value)), &id) == 0)
			undo_target(w, u, noun->kind, &id);
		else if (strcmp(name, "if-updated-at") != 0)
			undo_set(u, name, web_text(w, "%s", value));
	}
	return true;
}

/* ---- the cookie: account, session, nonce | noun, verb, href, said | number of targets: id, time | number of fields: name, value ---------- */

static void put_text(struct wr *w, const char *text)
{
	wr_bytes(w, text, strlen(text) + 1);
}

static void show_button(struct web *w, const char *nonce, const char *back)
{
	w->page.undo_href = web_path(w, "/undo/%s", nonce);
	w->page.undo_back = back;
	w->page.undo_secs = UNDO_SECS;
}

void undo_offer(struct web *w, const struct undo *u)
{
	u8 raw[UNDO_CONTENT_MAX], nonce[NONCE_LEN];
	char text[NONCE_STRLEN];
	struct wr out = wr_init(raw, sizeof(raw));

	if (u->is_too_much)
		return;
	rng_fill(w->x->portal->rng, nonce, sizeof(nonce));
	wr_bytes(&out, w->account->e.id.b, sizeof(w->account->e.id.b));
	wr_bytes(&out, w->me.session_id.b, sizeof(w->me.session_id.b));
	wr_bytes(&out, nonce, sizeof(nonce));
	put_text(&out, u->noun);
	put_text(&out, u->verb);
	put_text(&out, u->href);
	put_text(&out, u->said);
	wr_u8(&out, (u8)u->n_targets);
	for (u32 i = 0; i < u->n_targets; i++) {
		wr_bytes(&out, u->target[i].id.b, sizeof(u->target[i].id.b));
		wr_be64(&out, (u64)u->target[i].updated_at);
	}
	wr_u8(&out, (u8)u->n_fields);
	for (u32 i = 0; i < u->n_fields; i++) {
		put_text(&out, u->field[i].name);
		put_text(&out, u->field[i].value);
	}
	if (!wr_ok(&out) || base64url_encode(text, sizeof(text), SPAN(nonce, sizeof(nonce))) < 0)
		return;
	exchange_set_cookie(w->x, COOKIE, SPAN(raw, wr_len(&out)), UNDO_KEPT_SECS);
	show_button(w, text, u->href + strlen(w->page.base));
}

/* The next text, kept as long as the exchange; NULL when there is none. */
static const char *take_text(struct web *w, struct rd *r)
{
	const u8 *end = rd_left(r) > 0 ? memchr(r->p, 0, rd_left(r)) : NULL;
	struct span text = rd_bytes(r, end ? (size_t)(end - r->p) + 1 : rd_left(r) + 1);

	return rd_ok(r) ? web_text(w, "%s", (const char *)text.p) : NULL;
}

/* What waits in this browser for this account and session; its nonce as text. */
static bool read_offer(struct web *w, struct undo *u, char nonce[static NONCE_STRLEN])
{
	u8 raw[UNDO_CONTENT_MAX];
	struct uuid account, session;
	size_t n;

	*u = (struct undo){ .noun = NULL };
	if (exchange_cookie(w->x, COOKIE, raw, sizeof(raw), &n))
		return false;
	struct rd r = rd_init(raw, n);
	rd_copy(&r, account.b, sizeof(account.b));
	rd_copy(&r, session.b, sizeof(session.b));
	struct span drawn = rd_bytes(&r, NONCE_LEN);
	if (!rd_ok(&r) || !uuid_eq(&account, &w->account->e.id) || !uuid_eq(&session, &w->me.session_id) ||
	    base64url_encode(nonce, NONCE_STRLEN, drawn) < 0)
		return false;
	u->noun = take_text(w, &r);
	u->verb = take_text(w, &r);
	u->href = take_text(w, &r);
	u->said = take_text(w, &r);
	u->n_targets = rd_u8(&r);
	for (u32 i = 0; rd_ok(&r) && i < u->n_targets && i < UNDO_TARGETS_MAX; i++) {
		rd_copy(&r, u->target[i].id.b, sizeof(u->target[i].id.b));
		u->target[i].updated_at = (i64)rd_be64(&r);
	}
	u->n_fields = rd_u8(&r);
	for (u32 i = 0; rd_ok(&r) && i < u->n_fields && i < UNDO_FIELDS_MAX; i++) {
		u->field[i].name = take_text(w, &r);
		u->field[i].value = take_text(w, &r);
	}
	return rd_ok(&r) && u->n_targets <= UNDO_TARGETS_MAX && u->n_fields <= UNDO_FIELDS_MAX;
}

void undo_begin(struct web *w)
{
	char nonce[NONCE_STRLEN];
	struct undo u;
	size_t n;
	u8 raw[UNDO_CONTENT_MAX];

	if (w->x->method == METHOD_POST) {
		if (exchange_cookie(w->x, COOKIE, raw, sizeof(raw), &n) != ERR_NOT_FOUND)
			exchange_drop_cookie(w->x, COOKIE);
	} else if (w->page.flash.text && read_offer(w, &u, nonce)) {
		const u8 *rest = memchr(w->x->path.p + 1, '/', w->x->path.n - 1);
		size_t n_rest = rest ? w->x->path.n - (size_t)(rest - w->x->path.p) : 0;

		show_button(w, nonce, web_text(w, "%.*s?%.*s", (int)n_rest, (const char *)rest, (int)w->x->query.n, (const char *)w->x->query.p));
	}
}

/* ---- the button --------------------------------------------------------------------------------------------------------------------- */

static u32 n_actions(const struct undo *u)
{
	u32 n = MAX(u->n_targets, 1u);

	for (u32 i = 0; i < u->n_fields && u->n_targets == 0; i++)
		n += u->field[i].name[0] == '\0';
	return n;
}

static enum admin_class take_back(struct web *w, const struct undo *u, u32 target, char why[static ADMIN_REASON_MAX])
{
	struct action a;
	enum admin_class class;
	u32 part = 0;

	action_begin(&a, u->noun, u->verb, &w->me);
	if (target < u->n_targets) {
		action_set_id(&a, "target", &u->target[target].id);
		action_set_unchanged_since(&a, u->target[target].updated_at);
	}
	for (u32 i = 0; i < u->n_fields; i++)
		if (u->field[i].name[0] == '\0')
			part++;
		else if (u->n_targets > 0 || part == target)
			action_set(&a, u->field[i].name, u->field[i].value);
	class = action_run(&a, w->x->portal);
	memcpy(why, a.reply.reason, ADMIN_REASON_MAX);
	action_end(&a);
	return class;
}

/* Why not, for whoever pressed the button. */
static const char *in_words(const struct undo *u, enum admin_class class, const char *why)
{
	switch (class) {
	case ADMIN_CONFLICT:
		return u->n_targets > 0 ? "It was changed meanwhile, and stays as it is now" : why;
	case ADMIN_NOT_FOUND:
		return "What it was about is not there any more";
	case ADMIN_OK:
	case ADMIN_INVALID:
	case ADMIN_DENIED:
	case ADMIN_LIMIT:
	case ADMIN_UNAVAILABLE:
		break;
	}
	return why;
}

/* The page that offered it. */
static const char *came_from(struct web *w)
{
	const char *back = exchange_form(w->x, "back");

	return back && back[0] == '/' && web_is_plain(back) ? web_path(w, "%s", back) : web_path(w, "/overview");
}

/* POST /:account/undo/:nonce */
void page_undo(struct exchange *x)
{
	char nonce[NONCE_STRLEN], why[ADMIN_REASON_MAX] = "";
	enum admin_class worst = ADMIN_OK, class;
	u32 n_done = 0, n;
	struct undo u;
	struct web w;

	if (!web_begin(&w, x, SECTION_OVERVIEW))
		return;
	if (!read_offer(&w, &u, nonce) || x->param[1].n != strlen(nonce) || memcmp(x->param[1].p, nonce, x->param[1].n) != 0) {
		exchange_flash(x, FLASH_ERROR, "That cannot be undone any more: it was undone already, or the time for it is over.");
		exchange_redirect(x, "%s", came_from(&w));
	} else {
		n = n_actions(&u);
		for (u32 i = 0; i < n; i++) {
			char reason[ADMIN_REASON_MAX];
			class = take_back(&w, &u, i, reason);
			n_done += class == ADMIN_OK;
			if (class != ADMIN_OK && worst == ADMIN_OK) {
				worst = class;
				memcpy(why, reason, sizeof(why));
			}
		}
		if (n_done == n)
			exchange_flash(x, FLASH_INFO, "Undone. %s", u.said);
		else if (n_done > 0)
			exchange_flash(x, FLASH_ERROR, "%u of %u were undone. Of the others: %s.", n_done, n, in_words(&u, worst, why));
		else
			exchange_flash(x, FLASH_ERROR, "Not undone. %s.", in_words(&u, worst, why));
		exchange_redirect(x, "%s", u.href);
	}
	web_end(&w);
}
