/* applets/portal/web/undo.h: taking back what an admin just did, for ten seconds.
 *
 *	action done ── undo_offer() ──▶ the next page shows what happened, with a button "Undo" (a form: it needs no script)
 *	                                    │ POST /<account>/undo/<nonce>
 *	                                    ▼
 *	            the same actions that pages run, by whoever presses it, each with `if-updated-at` ──▶ a sentence: it is as it was, or why not
 *	            too late: a sentence that says so, on the page that offered it
 *
 * What would take it back waits in the browser, in the signed cookie `undo` that lives UNDO_KEPT_SECS: it is of one account and one session, holds no
 * secrets, and is gone when it was used or when the browser changed anything else. So the server remembers nothing. Undo gives back what somebody had,
 * as far as the model can: sessions and tokens that ended stay ended and connections begin anew, which the sentence afterwards says.
 * A change of more than UNDO_CONTENT_MAX bytes is not offered to be undone.
 */
#pragma once

#include "applets/portal/web/web.h"

#define UNDO_SECS 10u	   /* the script takes the button away then */
#define UNDO_KEPT_SECS 20u /* and the pages on both sides take some time; also all that who has no script gets */
#define UNDO_TARGETS_MAX 50u /* one page of a list */
#define UNDO_FIELDS_MAX 128u
#define UNDO_CONTENT_MAX EXCHANGE_COOKIE_MAX

#define UNDO_MADE_AGAIN "It is made again as it was, under a new id: links to the old one lead nowhere."

/* The actions that take it back: noun.verb with these fields, once for each target, or once when there is none. Texts are borrowed until undo_offer(). */
struct undo {
	const char *noun, *verb;
	const char *href; /* where one is afterwards */
	const char *said; /* "The policy holds again." */
	struct {
		struct uuid id;
		i64 updated_at; /* who changes it meanwhile is not overwritten */
	} target[UNDO_TARGETS_MAX];
	u32 n_targets;
	struct admin_field field[UNDO_FIELDS_MAX]; /* without targets: of several actions, parted by one of the name "" */
	u32 n_fields;
	bool is_too_much; /* not to be offered */
};

/* A value of all its actions; NULL: not given. */
void undo_set(struct undo *u, const char *name, const char *value);
/* One more that it is about, as it is now: after the action. */
void undo_target(struct web *w, struct undo *u, enum kind k, const struct uuid *id);
/* Values that a form shows, as they are before it is filled with what was sent. */
void undo_form(struct web *w, struct undo *u, const struct form *f);

/* What takes `verb` back: enabling after disabling, and such. False: nothing does. */
bool undo_opposite(struct undo *u, const char *noun, const char *verb, const char *href);
/* The same with the fields of an action that is done. */
bool undo_of_action(struct web *w, struct undo *u, const struct action *a, const char *href);

/* Together with a flash, or on a page with one of its own: this answer's browser may take it back. */
void undo_offer(struct web *w, const struct undo *u);

/* ---- for web_begin() ---- */

/* A page that shows a flash offers what waits; a POST ends the offer of the one before. */
void undo_begin(struct web *w);
