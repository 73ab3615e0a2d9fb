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

static void print_json(const struct sheet *s, struct json_out *o)
{
	bool is_open = false;

	if (!s->is_single)
		json_open_array(o, NULL);
	for (u32 i = 0; i < s->n; i++) {
		const struct cell *c = &s->cells[i];

		if (!c->name) {
			if (is_open)
				json_close(o);
			json_open(o, NULL);
			is_open = true;
		} else if (c->value && c->type == CELL_RAW) {
			json_put_raw(o, c->name, SPAN(c->value, strlen(c->value)));
		} else {
			json_put_str(o, c->name, c->value);
		}
	}
	if (is_open)
		json_close(o);
	else if (s->is_single) {
		json_open(o, NULL);
		json_close(o);
	}
	if (!s->is_single)
		json_close_array(o);
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

static void print_table(const struct sheet *s, FILE *f)
{
	int width[SHEET_COLUMNS_MAX] = { 0 };
	u32 first_end = 1;

	while (first_end < s->n && s->cells[first_end].name)
		first_end++;
	for (u32 i = 0, col = 0; i < s->n; i++) {
		const struct cell *c = &s->cells[i];

		col = c->name ? col : 0;
		if (!c->name || c->is_detail || col >= SHEET_COLUMNS_MAX)
			continue;
		width[col] = wider(width[col], c);
		col++;
	}
	for (u32 pass = 0; pass < 2; pass++) {
		u32 end = pass == 0 ? first_end : s->n;

		for (u32 i = 0, col = 0; i < end; i++) {
			const struct cell *c = &s->cells[i];
			struct cell head = { .name = c->name, .value = (char *)(uintptr_t)c->name };

			if (!c->name) {
				if (i > 0)
					fputc('\n', f);
				col = 0;
			} else if (!c->is_detail && col < SHEET_COLUMNS_MAX) {
				if (col > 0)
					fputs("  ", f);
				bool is_last = true;
				for (u32 j = i + 1; j < s->n && s->cells[j].name; j++)
					is_last &= s->cells[j].is_detail;
				print_cell(f, pass == 0 ? &head : c, width[col], is_last);
				col++;
			}
		}
		fputc('\n', f);
	}
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

int sheet_print(const struct sheet *s, bool is_json, struct json_out *json, char **text)
{
	size_t n;
	FILE *f;

	*text = NULL;
	if (s->err)
		return s->err;
	if (is_json) {
		print_json(s, json);
		if (!json_ok(json))
			return json->err;
		*text = malloc(json->len + 2);
		if (!*text)
			return ERR_NOMEM;
		memcpy(*text, json->buf, json->len);
		memcpy(*text + json->len, "\n", 2);
		return 0;
	}
	f = open_memstream(text, &n);
	if (!f)
		return ERR_NOMEM;
	if (s->n > 0 && s->is_single)
		print_single(s, f);
	else if (s->n > 0)
		print_table(s, f);
	if (fclose(f)) {
		free(*text);
		*text = NULL;
		return ERR_NOMEM;
	}
	return 0;
}

void sheet_free(struct sheet *s)
{
	for (u32 i = 0; i < s->n; i++) {
		if (s->cells[i].value)
			memset(s->cells[i].value, 0, strlen(s->cells[i].value));
		free(s->cells[i].value);
	}
	free(s->cells);
	memset(s, 0, sizeof(*s));
}
