/* What supervisors and machines ask: no session, no limit (spec 60 §6.2). */
#include "applets/portal/http/assets.h"
#include "applets/portal/http/exchange_int.h"
#include "applets/version.h"
#include "core/json/json.h"

#include <unistd.h>

/* `trouble` NULL: none. */
static void state(struct exchange *x, u16 status, const char *name, const char *trouble)
{
	struct json_out o = JSON_OUT;

	json_open(&o, NULL);
	json_put_str(&o, "status", name);
	json_put_str(&o, "version", EMBERBOX_VERSION);
	if (trouble)
		json_put_str(&o, "database", trouble);
	json_close(&o);
	exchange_status(x, status);
	exchange_header(x, "Content-Type", "application/json; charset=utf-8");
	if (json_ok(&o))
		strbuf_add(&x->out, json_text(&o).p, json_text(&o).n);
	json_out_free(&o);
	exchange_send(x);
}

/* The first that holds, in this order. */
static void readyz(struct exchange *x)
{
	const struct server *s = run_of(x)->server;
	const char *draining = s->cfg->draining_file;

	if (s->is_stopping || (draining && access(draining, F_OK) == 0))
		state(x, 503, "draining", NULL);
	else if (s->is_starting)
		state(x, 503, "starting", NULL);
	else if (store_ping(s->portal->store))
		state(x, 503, "database_unavailable", store_trouble(s->portal->store));
	else
		state(x, 200, "ready", store_trouble(s->portal->store)); /* who cannot save still serves */
}

static void healthz(struct exchange *x)
{
	state(x, 200, "ok", NULL);
}

/* What is here is nothing for search engines. */
static void robots(struct exchange *x)
{
	exchange_header(x, "Content-Type", "text/plain; charset=utf-8");
	strbuf_puts(&x->out, "User-agent: *\nDisallow: /\n");
	exchange_send(x);
}

static const struct route routes[] = {
	{ METHOD_GET, "/assets/:name", assets_serve, 0, 0 },
	{ METHOD_GET, "/metrics", metrics_serve, 0, 0 },
	{ METHOD_GET, "/robots.txt", robots, 0, 0 },
	{ METHOD_GET, "/readyz", readyz, 0, 0 },
	{ METHOD_GET, "/healthz", healthz, 0, 0 },
};

const struct area plain_area = { AREA_PLAIN, routes, ARRAY_LEN(routes), problem_text };
