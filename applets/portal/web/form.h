/* applets/portal/web/form.h: forms as data: declared once, shown, filled from what was sent, marked where it was wrong.
 *
 *	struct form_field fields[] = {
 *		{ .name = "name", .label = "Name", .help = "How people call this place.", .is_required = true, .max = 64 },
 *		{ .name = "ip_stack", .label = "Addresses", .kind = INPUT_SELECT, FORM_CHOICES(stacks) },
 *	};
 *	struct form f = { .action = "/acme/sites", .submit = "Create site", .cancel_href = "/acme/sites", FORM_FIELDS(fields) };
 *
 *	GET    form_set(&f, "name", site->name)                 and in the template {% call form(page, &v->form) %}
 *	POST   form_fill(&f, get, x); run the action; when it fails: form_error(&f, reply.field, reply.reason), status 422, the same template
 *
 * A field's id in the page is `f-NAME`, so links may point to it. Values and errors are borrowed until the template ran; passwords are never
 * written back. Field names of actions and of forms are the same words.
 */
#pragma once

#include "core/base/types.h"

enum input_kind {
	INPUT_TEXT,
	INPUT_EMAIL,
	INPUT_NUMBER,
	INPUT_PASSWORD,
	INPUT_CODE,	/* a one-time code: digits, from the authenticator */
	INPUT_TEXTAREA,
	INPUT_SELECT,
	INPUT_RADIO,	/* one of the choices */
	INPUT_CHECKBOX, /* "true" or nothing */
	INPUT_CHECKS,	/* any of the choices; sent once for each */
	INPUT_DATE,	/* "2027-01-31" */
	INPUT_DATETIME, /* "2027-01-31T12:00", UTC */
	INPUT_HIDDEN,
};

struct choice {
	const char *value, *label;
	const char *help;   /* a line below; NULL for none */
	bool is_chosen;	    /* CHECKS: ticked. The others compare with the field's value */
	bool is_disabled;
};

struct form_field {
	const char *name, *label;
	const char *help;  /* below the label: what to write and what it does */
	const char *value; /* shown; NULL is empty */
	const char *error; /* what to do about it, in words */
	enum input_kind kind;
	struct choice *choices; /* SELECT, RADIO, CHECKS */
	u32 n_choices;
	const char *find; /* SELECT of many, of which some are listed: what they were looked for by, "" for the first. NULL: all are listed */
	const char *placeholder, *autocomplete;
	u32 max;  /* characters; 0 = not said */
	u32 rows; /* TEXTAREA; 0 = 4 */
	bool is_required, is_focused;
	bool is_code; /* in fixed width: addresses, keys */
	bool is_more; /* under "More", which is open when such a field has an error */
};

struct form {
	const char *action;
	const char *submit;	 /* what happens: "Create site" */
	const char *other, *other_name; /* a second button, sent under that name whatever the fields are; NULL: none */
	const char *cancel_href; /* NULL: no such link */
	const char *error;	 /* of no field in particular */
	struct form_field *fields;
	u32 n_fields;
	i64 updated_at;	 /* of what is edited, sent along: who saved meanwhile is not overwritten unseen; 0: nothing is edited */
	bool is_danger;	 /* the button is red */
};

#define FORM_FIELDS(array) .fields = (array), .n_fields = ARRAY_LEN(array)
#define FORM_CHOICES(array) .choices = (array), .n_choices = ARRAY_LEN(array)

/* NULL when there is no such field. */
struct form_field *form_field(const struct form *f, const char *name);
void form_set(struct form *f, const char *name, const char *value);
/* The value sent or set; "" when empty or unknown. */
const char *form_value(const struct form *f, const char *name);

/* Keeps what was typed. `get` answers the nth value of a field or NULL: exchange_form_nth(), exchange_query_nth(), or a test's own. */
typedef const char *form_reader(void *ctx, const char *name, u32 nth);
void form_fill(struct form *f, form_reader *get, void *ctx);

/* The reason to the field it is about; to the whole form when `field` is NULL, "" or none of its. The field gets the focus. */
void form_error(struct form *f, const char *field, const char *reason);
bool form_has_errors(const struct form *f);

/* ---- for the templates ---- */

const char *field_type(enum input_kind kind); /* of an <input>; "" for what is none */
bool field_is_on(const struct form_field *f, const struct choice *c);
bool form_has_find(const struct form *f);
bool form_has_more(const struct form *f);
bool form_more_is_open(const struct form *f);
