#include "applets/portal/admin/action.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void action_begin(struct action *a, const char *noun, const char *verb, const struct principal *by)
{
	memset(a, 0, sizeof(*a));
	a->rq = (struct admin_request){ .noun = noun, .verb = verb, .by = by };
}

static void give(struct action *a, const char *name, char *value)
{
	if (!value || a->rq.n_fields == ADMIN_FIELDS_MAX) {
		a->err = a->err ? a->err : value ? ERR_LIMIT : ERR_NOMEM;
		free(value);
		return;
	}
	a->rq.field[a->rq.n_fields++] = (struct admin_field){ name, value };
}

void action_set(struct action *a, const char *name, const char *value)
{
	if (value)
		give(a, name, strdup(value));
}

void action_setf(struct action *a, const char *name, const char *fmt, ...)
{
	char *value = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&value, fmt, ap) < 0)
		value = NULL;
	va_end(ap);
	give(a, name, value);
}

void action_set_id(struct action *a, const char *name, const struct uuid *id)
{
	char text[UUID_STRLEN];

	action_set(a, name, uuid_format(id, text));
}

void action_set_bool(struct action *a, const char *name, bool value)
{
	action_set(a, name, value ? "true" : "false");
}

void action_set_unchanged_since(struct action *a, i64 updated_at)
{
	action_setf(a, "if-updated-at", "%lld", (long long)updated_at);
}

enum admin_class action_run(struct action *a, struct portal *p)
{
	if (!a->err) {
		admin_run(p, &a->rq, &a->reply);
		return a->reply.class;
	}
	a->reply.status = 1;
	a->reply.class = a->err == ERR_LIMIT ? ADMIN_INVALID : ADMIN_UNAVAILABLE;
	snprintf(a->reply.reason, sizeof(a->reply.reason), "%s",
		 a->err == ERR_LIMIT ? "These are too many values at once" : "The portal is out of memory: nothing was changed, try again");
	return a->reply.class;
}

void action_end(struct action *a)
{
	for (u32 i = 0; i < a->rq.n_fields; i++) {
		char *value = (char *)(uintptr_t)a->rq.field[i].value;

		sodium_memzero(value, strlen(value));
		free(value);
	}
	admin_reply_free(&a->reply);
	memset(a, 0, sizeof(*a));
}
