#include "tests/unit/http_routes.h"

#include "applets/portal/http/live.h"

struct exchange *http_deferred, *http_stream;
u32 http_gone;

static void text(struct exchange *x)
{
	exchange_header(x, "Content-Type", "text/plain");
}

static void echo(struct exchange *x)
{
	static const char *const fields[] = { "a", "b" };

	text(x);
	for (u32 i = 0; i < EXCHANGE_PARAMS_MAX && x->param[i].n > 0; i++)
		strbuf_printf(&x->out, "param %s\n", (const char *)x->param[i].p);
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		for (u32 k = 0; k < 2; k++) {
			const char *q = exchange_query_nth(x, fields[i], k), *f = exchange_form_nth(x, fields[i], k);
			if (q)
				strbuf_printf(&x->out, "query %s=%s\n", fields[i], q);
			if (f)
				strbuf_printf(&x->out, "form %s=%s\n", fields[i], f);
		}
	strbuf_printf(&x->out, "body %zu\n", x->body.n);
	exchange_send(x);
}

static void say_pattern_new(struct exchange *x)
{
	text(x);
	strbuf_puts(&x->out, "new");
	exchange_send(x);
}

static void say_pattern_thing(struct exchange *x)
{
	text(x);
	strbuf_puts(&x->out, "thing");
	exchange_send(x);
}

static void page(struct exchange *x)
{
	strbuf_printf(&x->out, "<form method=\"post\"><input type=\"hidden\" name=\"_csrf\" value=\"%s\"></form>", exchange_csrf(x));
	exchange_allow_forms_to(x, "firezone-fd0020211111:");
	exchange_send(x);
}

static void set(struct exchange *x)
{
	exchange_set_cookie(x, "email_otp", SPAN_STR("secret\0text"), 900);
	exchange_set_cookie(x, "other", SPAN_STR(""), 300);
	exchange_redirect(x, "/cookie?from=%s", "set");
}

static void cookie(struct exchange *x)
{
	u8 buf[64];
	size_t n;
	int rc = exchange_cookie(x, exchange_query(x, "name") ? exchange_query(x, "name") : "email_otp", buf, sizeof(buf), &n);

	text(x);
	strbuf_printf(&x->out, "%d %zu", rc, n);
	if (exchange_query(x, "drop"))
		exchange_drop_cookie(x, "email_otp");
	exchange_send(x);
}

static void flash(struct exchange *x)
{
	exchange_flash(x, FLASH_ERROR, "<b>%s</b> is gone", "Berlin");
	exchange_redirect(x, "/flashed");
}

static void flashed(struct exchange *x)
{
	enum flash kind = FLASH_INFO;
	const char *sentence = exchange_take_flash(x, &kind);

	text(x);
	strbuf_printf(&x->out, "%d %s", kind, sentence ? sentence : "-");
	exchange_send(x);
}

static void at(struct exchange *x)
{
	text(x);
	strbuf_puts(&x->out, "at last");
	exchange_send_at(x, x->now + SEC(3));
}

static void on_gone(void *ctx)
{
	*(struct exchange **)ctx = NULL;
	http_gone++;
}

static void later(struct exchange *x)
{
	http_deferred = x;
	exchange_defer(x, on_gone, &http_deferred);
}

void http_later_answer(void)
{
	text(http_deferred);
	strbuf_puts(&http_deferred->out, "later");
	exchange_send(http_deferred);
	http_deferred = NULL;
}

static void stream(struct exchange *x)
{
	http_stream = x;
	strbuf_puts(&x->out, "first");
	text(x);
	exchange_stream(x, on_gone, &http_stream);
}

static void live(struct exchange *x)
{
	static const struct uuid account = { { 1 } }, session = { { 2 } };

	live_open(x, &account, &session, "clients,gateways");
}

static void silent(struct exchange *x)
{
	(void)x;
}

static void twice(struct exchange *x)
{
	text(x);
	strbuf_puts(&x->out, "once");
	exchange_send(x);
	exchange_send(x);
	exchange_redirect(x, "/");
}

static void inject(struct exchange *x)
{
	exchange_header(x, "X-Name", "%s", exchange_query(x, "a") ? exchange_query(x, "a") : "");
	if (exchange_query(x, "b"))
		exchange_redirect(x, "%s", exchange_query(x, "b"));
	else
		exchange_send(x);
}

static void limited(struct exchange *x)
{
	static const struct uuid account = { { 1 } };

	if (!exchange_within_limit(x, &account, 0, 0))
		return;
	text(x);
	exchange_send(x);
}

static const struct route web_routes[] = {
	{ METHOD_GET, "/", echo, 0, 0 },
	{ METHOD_GET, "/echo", echo, 0, 0 },
	{ METHOD_POST, "/form", echo, 0, 0 },
	{ METHOD_POST, "/hook", echo, ROUTE_NO_CSRF | ROUTE_UNLIMITED, 0 },
	{ METHOD_POST, "/big", echo, ROUTE_NO_CSRF, 1 << 20 },
	{ METHOD_GET, "/page", page, 0, 0 },
	{ METHOD_GET, "/set", set, 0, 0 },
	{ METHOD_GET, "/cookie", cookie, 0, 0 },
	{ METHOD_GET, "/flash", flash, 0, 0 },
	{ METHOD_GET, "/flashed", flashed, 0, 0 },
	{ METHOD_GET, "/at", at, 0, 0 },
	{ METHOD_GET, "/later", later, 0, 0 },
	{ METHOD_GET, "/stream", stream, 0, 0 },
	{ METHOD_GET, "/live", live, 0, 0 },
	{ METHOD_GET, "/silent", silent, 0, 0 },
	{ METHOD_GET, "/twice", twice, 0, 0 },
	{ METHOD_GET, "/inject", inject, 0, 0 },
	{ METHOD_GET, "/:account/:thing/new", say_pattern_thing, 0, 0 },
	{ METHOD_GET, "/:account/sites/:id", echo, 0, 0 },
	{ METHOD_GET, "/:account/sites/new", say_pattern_new, 0, 0 },
	{ METHOD_DELETE, "/:account/sites/:id", echo, ROUTE_SECRET_PATH, 0 },
};

static const struct route api_routes[] = {
	{ METHOD_GET, "/things", limited, 0, 0 },
	{ METHOD_POST, "/things", echo, 0, 0 },
	{ METHOD_PUT, "/things/:id", echo, 0, 0 },
};

static void problem_page(struct exchange *x, u16 status, const char *reason)
{
	web_area.problem(x, status, reason);
}

static const struct area web = { AREA_WEB, web_routes, ARRAY_LEN(web_routes), problem_page };
static const struct area api = { AREA_API, api_routes, ARRAY_LEN(api_routes), problem_json };
static const struct area *const areas[AREAS] = { &plain_area, &api, &web };

struct http_world *http_new_with_routes(void)
{
	struct http_world *w = http_new();

	w->server.areas = areas;
	http_deferred = http_stream = NULL;
	http_gone = 0;
	return w;
}
