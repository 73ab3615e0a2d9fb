/* applets/portal/admin/sheet.h: the answer of an admin verb: rows of named cells, printed as a table for people or as JSON for programs.
 *
 *	sheet_row(&s); sheet_put(&s, "id", id); sheet_put_bool(&s, "online", true); sheet_hide(&s)  ...
 *	sheet_print(&s, is_json, out);
 *
 * A list prints as a JSON array or a table with a head line; a single thing as a JSON object or `name: value` lines. Errors are sticky.
 */
#pragma once

#include "core/json/json.h"

#include <stdio.h>

#define SHEET_COLUMNS_MAX 24u

enum cell_type { CELL_TEXT, CELL_RAW };

struct cell {
	const char *name; /* static */
	char *value;	  /* NULL = null */
	enum cell_type type;
	bool is_detail; /* not shown in a table */
};

struct sheet {
	struct cell *cells; /* row after row, each begins with a cell whose name is NULL */
	u32 n, cap;
	bool is_single;
	int err;
	/* of what is printed in slices */
	u32 n_measured, n_printed; /* cells of a table */
	int width[SHEET_COLUMNS_MAX];
	bool is_begun;
};

void sheet_row(struct sheet *s);
void sheet_put(struct sheet *s, const char *name, const char *value);
void sheet_put_int(struct sheet *s, const char *name, i64 value);
void sheet_put_bool(struct sheet *s, const char *name, bool value);
/* Valid JSON by the caller's word; NULL is null. */
void sheet_put_json(struct sheet *s, const char *name, const char *json);
/* The cell put last is left out of tables. */
void sheet_detail(struct sheet *s);

/* Takes in the rows since it was last called: as JSON they are printed, of a table what it does not show is forgotten. */
void sheet_settle(struct sheet *s, bool is_json, struct json_out *json);
/* Prints what settled, `cells` of it at most; 1: there is more, 0 or the sticky error. */
int sheet_print(struct sheet *s, bool is_json, struct json_out *json, FILE *table, u32 cells) MUST_CHECK;
void sheet_free(struct sheet *s);
