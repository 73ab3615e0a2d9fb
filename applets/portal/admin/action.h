/* applets/portal/admin/action.h: one admin request, built and run in a few lines by a page or the API.
 *
 *	struct action a;
 *
 *	action_begin(&a, "site", "update", &me);
 *	action_set_id(&a, "target", &site_id);
 *	action_set(&a, "name", exchange_form(x, "name"));
 *	if (action_run(&a, x->portal) == ADMIN_OK)
 *		exchange_redirect(x, "/%s/sites/%s", slug, uuid_format(&a.reply.id, text));
 *	else
 *		show_form_again(x, a.reply.field, a.reply.reason);
 *	action_end(&a);
 *
 * Values are copied. A NULL value is not given (the thing keeps what it has), an empty one clears. Failing to copy is reported by action_run().
 * Ticked boxes are given as "true" or "false".
 */
#pragma once

#include "applets/portal/admin/admin.h"

struct action {
	struct admin_request rq;
	struct admin_reply reply; /* valid after action_run() until action_end() */
	int err;
};

/* `by` is borrowed until action_run() returned; noun and verb are static texts. */
void action_begin(struct action *a, const char *noun, const char *verb, const struct principal *by);
/* May be called several times with the same name where a verb takes lists (`filter`, `condition`, `member`). */
void action_set(struct action *a, const char *name, const char *value);
void action_setf(struct action *a, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);
void action_set_id(struct action *a, const char *name, const struct uuid *id);
void action_set_bool(struct action *a, const char *name, bool value);
/* Refuse when the thing was changed after this (entity.updated_at): two people edited the same row. An update is refused only when a value that it sets was
 * changed: not because a sync ran, or somebody disabled it. */
void action_set_unchanged_since(struct action *a, i64 updated_at);

enum admin_class action_run(struct action *a, struct portal *p);
/* Wipes the values and the reply. */
void action_end(struct action *a);
