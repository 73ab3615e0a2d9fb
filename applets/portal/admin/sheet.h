/* applets/portal/admin/sheet.h: the answer of an admin verb: rows of named cells, printed as a table for people or as JSON for programs.
 *
 *	sheet_row(&s); sheet_put(&s, "id", id); sheet_put_bool(&s, "online", true); sheet_hide(&s)  ...
 *	sheet_print(&s, is_json, out);
 *
 * A list prints as a JSON array or a table with a head line; a single thing as a JSON object or `name: value` lines. Errors are sticky.
 */
#pragma once

#include "core/json/json.h"

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
};

void sheet_row(struct sheet *s);
void sheet_put(struct sheet *s, const char *name, const char *value);
void sheet_put_int(struct sheet *s, const char *name, i64 value);
void sheet_put_bool(struct sheet *s, const char *name, bool value);
/* Valid JSON by the caller's word; NULL is null. */
void sheet_put_json(struct sheet *s, const char *name, const char *json);
/* The cell put last is left out of tables. */
void sheet_detail(struct sheet *s);

/* 0 or the sticky error. */
int sheet_print(const struct sheet *s, bool is_json, struct json_out *json, char **text) MUST_CHECK;
void sheet_free(struct sheet *s);
