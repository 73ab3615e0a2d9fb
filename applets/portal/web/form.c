#include "applets/portal/web/form.h"

#include <string.h>

#define CHOICES_SENT_MAX 4096u

struct form_field *form_field(const struct form *f, const char *name)
{
	for (u32 i = 0; i < f->n_fields; i++)
		if (strcmp(f->fields[i].name, name) == 0)
			return &f->fields[i];
	return NULL;
}

void form_set(struct form *f, const char *name, const char *value)
{
	struct form_field *field = form_field(f, name);

	if (field)
		field->value = value;
}

const char *form_value(const struct form *f, const char *name)
{
	const struct form_field *field = form_field(f, name);

	return field && field->value ? field->value : "";
}

void form_fill(struct form *f, form_reader *get, void *ctx)
{
	for (u32 i = 0; i < f->n_fields; i++) {
		struct form_field *field = &f->fields[i];
		const char *sent = get(ctx, field->name, 0);
		if (field->kind == INPUT_CHECKS) {
			for (u32 c = 0; c < field->n_choices; c++)
				field->choices[c].is_chosen = false;
			for (u32 n = 0; sent && n < CHOICES_SENT_MAX; sent = get(ctx, field->name, ++n))
				for (u32 c = 0; c < field->n_choices; c++)
					if (strcmp(field->choices[c].value, sent) == 0)
						field->choices[c].is_chosen = true;
		} else if (field->kind == INPUT_CHECKBOX) {
			field->value = sent && *sent ? "true" : "";
		} else {
			field->value = sent;
		}
	}
}

void form_error(struct form *f, const char *field, const char *reason)
{
	struct form_field *at = field && *field ? form_field(f, field) : NULL;

	if (!at || at->kind == INPUT_HIDDEN) {
		f->error = reason;
		return;
	}
	at->error = reason;
	for (u32 i = 0; i < f->n_fields; i++)
		f->fields[i].is_focused = false;
	at->is_focused = true;
}

bool form_has_errors(const struct form *f)
{
	for (u32 i = 0; i < f->n_fields; i++)
		if (f->fields[i].error)
			return true;
	return f->error != NULL;
}

const char *field_type(enum input_kind kind)
{
	switch (kind) {
	case INPUT_TEXT:
	case INPUT_CODE: return "text";
	case INPUT_EMAIL: return "email";
	case INPUT_NUMBER: return "number";
	case INPUT_PASSWORD: return "password";
	case INPUT_DATE: return "date";
	case INPUT_DATETIME: return "datetime-local";
	case INPUT_RADIO: return "radio";
	case INPUT_CHECKBOX:
	case INPUT_CHECKS: return "checkbox";
	case INPUT_HIDDEN: return "hidden";
	case INPUT_TEXTAREA:
	case INPUT_SELECT: return "";
	}
	return "";
}

bool field_is_on(const struct form_field *f, const struct choice *c)
{
	return f->kind == INPUT_CHECKS ? c->is_chosen : strcmp(f->value ? f->value : "", c->value) == 0;
}

bool form_has_find(const struct form *f)
{
	for (u32 i = 0; i < f->n_fields; i++)
		if (f->fields[i].find)
			return true;
	return false;
}

bool form_has_more(const struct form *f)
{
	for (u32 i = 0; i < f->n_fields; i++)
		if (f->fields[i].is_more)
			return true;
	return false;
}

bool form_more_is_open(const struct form *f)
{
	for (u32 i = 0; i < f->n_fields; i++)
		if (f->fields[i].is_more && f->fields[i].error)
			return true;
	return false;
}
