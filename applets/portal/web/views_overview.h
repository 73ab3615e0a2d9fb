/* applets/portal/web/views_overview.h: what the overview, the activity, relays and "why" pages show.
 */
#pragma once

#include "applets/portal/model/entity.h"
#include "applets/portal/web/connections.h"

struct step_view {
	const char *title, *text;
	const char *link, *href; /* NULL: nothing to click */
	const char *command;	 /* to paste; NULL: none */
	bool is_done;
};

struct overview_view {
	struct step_view steps[4];
	u32 n_done;
	u32 clients, gateways, relays;
	i64 sites, resources, policies, people;
	const struct connections *connections;
	bool is_first; /* the only connection so far */
	const struct connection_row *latest; /* NULL: none; one whose path is known, if there is any */
	struct chart flows, bytes;
	bool has_bytes;
	const struct topology *topology;
};

struct traffic_view {
	struct chart bytes, paths, latency;
	bool is_empty; /* nobody reported anything */
};

/* 503 is answered when they are false. */
struct hours;
bool traffic_chart(const struct hours *h, struct chart *c) MUST_CHECK;
bool chart_is_empty(const struct chart *c);

/* Columns People → Clients → Gateways → Resources; lines are connections that are allowed now, those between clients and gateways drawn by their path. */
#define TOPO_NODES_MAX 24u /* in a column; the rest is one node that counts them */
#define TOPO_LINES_MAX 200u
#define TOPO_CONNECTIONS 40u /* the newest, which fill the columns: their names are asked for one by one */
#define TOPO_COLUMNS 4u

struct topo_node {
	struct uuid id;
	const char *name, *href;
	bool is_online;
	u32 y;
};

struct topo_line {
	u32 x1, y1, x2, y2;
	enum { LINE_PLAIN, LINE_RELAYED, LINE_UNKNOWN } path;
};

struct topology {
	struct topo_node node[TOPO_COLUMNS][TOPO_NODES_MAX];
	u32 n[TOPO_COLUMNS], more[TOPO_COLUMNS];
	struct topo_line line[TOPO_LINES_MAX];
	u32 n_lines;
	bool has_relayed, has_unknown;
	u32 height;
};

u32 topo_x(u32 column);
extern const char *const topo_titles[TOPO_COLUMNS];

struct audit_row {
	i64 at;
	const char *who, *from; /* "Jo (jo@acme.example)", "203.0.113.7" */
	const char *what;	/* "changed site Berlin" */
	const char *href;
	const char *old_json, *new_json;
};

struct activity_view {
	struct form *filters;
	struct list list;
	struct audit_row *rows;
	u32 n;
	const char *export_href;
	const struct connections *connections;
};

struct relay_row {
	struct uuid id;
	struct endpoint v4, v6;
	struct ip remote_ip;
	const char *version;
};

struct relays_view {
	struct relay_row *rows;
	u32 n;
};

/* Why can't she reach it: the chain, with its first broken link. */
struct why_link {
	const char *title, *text;
	enum { WHY_OK, WHY_BROKEN, WHY_UNKNOWN } state;
	const char *href, *label; /* what to do about it */
};

struct why_view {
	struct form form;
	struct why_link links[8];
	u32 n;
	bool is_asked, is_reachable;
};
