#include "applets/portal/admin/sheet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELL_WIDTH_MAX 44

static struct cell *add(struct sheet *s, const char *name)
{
	if (s->n == s->cap) {
		u32 cap = s->cap ? s->cap * 2 : 32;
		struct cell *more = realloc(s->cells, cap * sizeof(*more));
		if (!more) {
			s->err = ERR_NOMEM;
			return NULL;
		}
		s->cells = more;
		s->cap = cap;
	}
	s->cells[s->n] = (struct cell){ .name = name };
	return &s->cells[s->n++];
}

void sheet_row(struct sheet *s)
{
	(void)add(s, NULL);
}

static void put(struct sheet *s, const char *name, const char *value, enum cell_type type)
{
	struct cell *c = add(s, name);

	if (!c)
		return;
	c->type = type;
	c->value = value ? strdup(value) : NULL;
	if (value && !c->value)
		s->err = ERR_NOMEM;
}

void sheet_put(struct sheet *s, const char *name, const char *value)
{
	put(s, name, value, CELL_TEXT);
}

void sheet_put_int(struct sheet *s, const char *name, i64 value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	put(s, name, text, CELL_RAW);
}

void sheet_put_bool(struct sheet *s, const char *name, bool value)
{
	put(s, name, value ? "true" : "false", CELL_RAW);
}

void sheet_put_json(struct sheet *s, const char *name, const char *json)
{
	put(s, name, json, CELL_RAW);
}

void sheet_detail(struct sheet *s)
{
	if (s->n > 0)
		s->cells[s->n - 1].is_detail = true;
}

static void forget_value(struct cell *c)
{
	if (c->value)
		memset(c->value, 0, strlen(c->value));
	free(c->value);
	c->value = NULL;
}

static void forget(struct sheet *s)
{
	for (u32 i = 0; i < s->n; i++)
		forget_value(&s->cells[i]);
	s->n = 0;
}

static void print_json(const struct sheet *s, struct json_out *o)
{
	for (u32 i = 0; i < s->n; i++) {
		const struct cell *c = &s->cells[i];

		if (!c->name) {
			if (i > 0)
				json_close(o);
			json_open(o, NULL);
		} else if (c->value && c->type == CELL_RAW) {
			json_put_raw(o, c->name, SPAN(c->value, strlen(c->value)));
		} else {
			json_put_str(o, c->name, c->value);
		}
	}
	if (s->n > 0)
		json_close(o);
}

/* Several lines or spaces at the ends would break a table. */
static void print_cell(FILE *f, const struct cell *c, int width, bool is_last)
{
	const char *v = c->value ? c->value : "-";
	int n = 0;

	for (; *v && *v != '\n' && n < CELL_WIDTH_MAX; v++) {
		fputc(*v, f);
		n += ((unsigned char)*v & 0xc0) != 0x80;
	}
	if (*v)
		fputs("…", f);
	n += *v != 0;
	if (!is_last)
		fprintf(f, "%*s", MAX(width - n, 0), "");
}

static int columns(const char *s)
{
	int n = 0;

	for (; *s && *s != '\n'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return MIN(n, CELL_WIDTH_MAX);
}

static int wider(int width, const struct cell *c)
{
	int head = columns(c->name), body = columns(c->value ? c->value : "-");

	width = MAX(width, head);
	return MAX(width, body);
}

/* The widths of what is new, and away with what is not shown. */
static void measure(struct sheet *s)
{
	u32 n = s->n_measured;

	for (u32 i = n, col = 0; i < s->n; i++) {
		struct cell *c = &s->cells[i];

		col = c->name ? col : 0;
		if (c->is_detail || (c->name && col >= SHEET_COLUMNS_MAX)) {
			forget_value(c);
			continue;
		}
		if (c->name) {
			s->width[col] = wider(s->width[col], c);
			col++;
		}
		s->cells[n++] = *c;
	}
	s->n = s->n_measured = n;
}

static void print_row(const struct sheet *s, u32 i, bool is_head, FILE *f)
{
	for (u32 col = 0; i < s->n && s->cells[i].name; i++, col++) {
		const struct cell *c = &s->cells[i];
		struct cell head = { .name = c->name, .value = (char *)(uintptr_t)c->name };

		if (col > 0)
			fputs("  ", f);
		print_cell(f, is_head ? &head : c, s->width[col], i + 1 == s->n || !c[1].name);
	}
	fputc('\n', f);
}

/* 1: there is more. */
static int print_table(struct sheet *s, FILE *f, u32 cells)
{
	u32 end = s->n - s->n_printed > cells ? s->n_printed + cells : s->n;

	if (s->n > 0 && s->n_printed == 0)
		print_row(s, 1, true, f);
	for (; s->n_printed < end; s->n_printed++) {
		if (!s->cells[s->n_printed].name)
			print_row(s, s->n_printed + 1, false, f);
		else /* printed with its row: half a million at the end would take a while */
			forget_value(&s->cells[s->n_printed]);
	}
	return s->n_printed < s->n;
}

static void print_single(const struct sheet *s, FILE *f)
{
	int width = 0;

	for (u32 i = 0; i < s->n; i++)
		if (s->cells[i].name)
			width = MAX(width, (int)strlen(s->cells[i].name));
	for (u32 i = 0; i < s->n; i++) {
		const struct cell *c = &s->cells[i];
		if (!c->name || !c->value)
			continue;
		fprintf(f, "%-*s  ", width, c->name);
		for (const char *p = c->value; *p; p++) {
			fputc(*p, f);
			if (*p == '\n')
				fprintf(f, "%-*s  ", width, "");
		}
		fputc('\n', f);
	}
}

void sheet_settle(struct sheet *s, bool is_json, struct json_out *json)
{
	if (!is_json) {
		if (!s->is_single)
			measure(s);
		return;
	}
	if (!s->is_begun && !s->is_single)
		json_open_array(json, NULL);
	s->is_begun = true;
	print_json(s, json);
	forget(s);
}

int sheet_print(struct sheet *s, bool is_json, struct json_out *json, FILE *table, u32 cells)
{
	if (s->err)
		return s->err;
	if (!is_json && !s->is_single)
		return print_table(s, table, cells);
	if (!is_json) {
		print_single(s, table);
		return 0;
	}
	if (!s->is_single) {
		json_close_array(json);
	} else if (json->len == 0) {
		json_open(json, NULL);
		json_close(json);
	}
	return json_ok(json) ? 0 : json->err;
}

void sheet_free(struct sheet *s)
{
	forget(s);
	free(s->cells);
	memset(s, 0, sizeof(*s));
}
