/* applets/portal/web/bulk.h: one thing done to many rows of a list.
 *
 *	list page: ticks named `id`, all of the form #bulk ── POST /<account>/selected/<what>, do=disable ──▶ done one by one ──▶ the list, with a sentence
 *	                                                  └── do=delete ──▶ one page that names them and what goes with them ── sure=1 ──▶ done
 *
 * Each row is an action of its own, by whoever is signed in: what the rules refuse (oneself, the last admin, what the portal manages) is told row by row
 * and the others are done. The actions run a row a turn of the loop, for each has its consequences. What has an opposite may be undone (undo.h), and what
 * can be made again as it was, also when others of them could not be done.
 */
#pragma once

#include "applets/portal/web/web.h"

#define BULK_MAX 50u /* rows of one request: a page of a list */

struct bulk_verb {
	const char *verb, *label; /* "delete", "Revoke" */
	const char *past;	  /* "revoked" */
	bool is_danger;		  /* asked before */
};

/* The bar of buttons below a list; for templates/parts.html. */
struct bulk_bar {
	const char *action, *what; /* "people" */
	const char *back;	   /* the query of the list, to come back to */
	const struct uuid *of;	   /* tokens: whose */
	const struct bulk_verb *verbs;
	u32 n_verbs;
};

/* What was not done, and why. */
struct bulk_failure {
	const char *name, *reason;
};

struct bulk_result {
	const struct bulk_failure *failures;
	u32 n;
	const char *list_href;
};

/* `what`: resources, policies, clients, people, groups, tokens (of the actor `of`). NULL without memory: a list without ticks. */
const struct bulk_bar *bulk_bar(struct web *w, const char *what, const struct uuid *of);
