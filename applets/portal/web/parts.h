/* applets/portal/web/parts.h: what lists, details and charts of the pages are made of, as data for templates/parts.html and templates/chart.html.
 *
 * Everything is borrowed until the template ran. See templates/parts.html for the parts that take plain strings (status, badge, empty, fact, …).
 */
#pragma once

#include "applets/portal/web/form.h"
#include "applets/portal/web/page.h"

/* ---- lists: filter, table, pages; their state is in the query string ---- */

struct column {
	const char *label;
	const char *sort;  /* its name in ?sort=; NULL: not sortable */
	bool is_number;	   /* set to the right, figures of one width */
	bool is_hidden;	   /* the label is only for screen readers: a column of ticks or buttons */
};

struct list {
	const char *what;    /* "sites": the table's name for screen readers */
	const char *path;    /* "/acme/sites" */
	const char *filters; /* encoded query of the filters, without sort and cursor: "name=berlin&online=1", or "" */
	const struct column *columns;
	u32 n_columns;
	const char *sort; /* the column's; NULL: the order of the list itself */
	bool is_descending;
	u64 shown, total;	  /* total 0: not counted */
	bool is_more;		  /* the total is the least, it was not counted to the end */
	const char *prev, *next; /* cursors: ?before=… and ?after=…; NULL: no such page */
	const struct bulk_bar *bulk; /* rows have ticks (bulk.h); NULL: they have not */
};

/* ---- tabs, dependents, secrets ---- */

struct tab {
	const char *label, *href;
	i64 count; /* -1: none is shown */
	bool is_current;
};

/* What goes with a thing that is deleted: "3 policies" with a link to them. */
struct confirm_item {
	u64 n;
	const char *one, *many; /* "policy", "policies" */
	const char *what;	/* "stop working", "are deleted", "are disconnected now" */
	const char *href;
};

/* One of many that are to be deleted. */
struct confirm_name {
	const struct uuid *id;
	const char *name;
};

struct confirm {
	const char *kind, *name; /* "site", "Berlin" */
	const char *action;	 /* POSTs here; field `confirm` has what was typed */
	const char *cancel_href;
	const char *submit; /* "Delete site" */
	const struct confirm_item *dependents;
	u32 n_dependents;
	const char *typed; /* people lose access: this must be typed to go on; NULL: nothing */
	const char *sent;  /* what was typed */
	const char *error; /* it is something else */
	/* of many (bulk.h): the names, sent again as `id` with these */
	const struct confirm_name *names;
	u32 n_names;
	const char *verb, *back, *of;
};

/* ---- charts: SVG of 640 x 200 with a table behind ---- */

#define CHART_SERIES_MAX 4u
#define CHART_POINTS_MAX 96u
#define CHART_TICKS 4u

struct chart {
	const char *title;	    /* says what is to be seen: "Connections per hour" */
	const char *unit;	    /* "" or "bytes": then ticks are KiB, MiB, … */
	const char *const *labels; /* of the points: "09:00" */
	u32 n_points;
	struct {
		const char *name; /* written at the end of its line */
		const u64 *values;
	} series[CHART_SERIES_MAX];
	u32 n_series;
	bool is_bars; /* stacked; else lines */
	bool skips_zero; /* of lines: 0 says that nothing was measured */

	u64 top;	  /* the value at the upper edge: set by chart_scale() */
	u32 label_every; /* each how manieth label is written */
};

/* Chooses the axis. Before the template. */
void chart_scale(struct chart *c);

#define CHART_LEFT 56u
#define CHART_WIDTH 500u
#define CHART_HEIGHT 160u
#define CHART_BASE 170u /* y of the zero line */

/* Coordinates, for the template. */
u32 chart_x(const struct chart *c, u32 point);	/* of a line's point */
u32 chart_y(const struct chart *c, u64 value);
u32 chart_bar_x(const struct chart *c, u32 point);
u32 chart_bar_width(const struct chart *c);
u32 chart_bar_y(const struct chart *c, u32 series, u32 point); /* stacked on those before it */
u32 chart_bar_height(const struct chart *c, u32 series, u32 point);
u32 chart_label_y(const struct chart *c, u32 series); /* of a line's name, moved apart */
