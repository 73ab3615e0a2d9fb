#include "applets/portal/http/router.h"

#include "applets/portal/http/exchange_int.h"
#include "core/base/encode.h"
#include "core/base/utf8.h"
#include "core/json/json.h"

#include <stdio.h>

#define SEGMENTS_MAX 12u

const struct area *const router_areas[AREAS] = { &plain_area, &api_area, &web_area };

struct segments {
	struct span at[SEGMENTS_MAX];
	u32 n;
};

/* "/a/b" → a, b; "/" → nothing. False: not a path, or too deep. */
static bool split(struct span path, struct segments *out)
{
	out->n = 0;
	if (path.n == 0 || path.p[0] != '/')
		return false;
	for (size_t at = 1; at < path.n;) {
		const u8 *end = memchr(path.p + at, '/', path.n - at);
		size_t n = end ? (size_t)(end - path.p) - at : path.n - at;

		if (out->n == SEGMENTS_MAX)
			return false;
		out->at[out->n++] = SPAN(path.p + at, n);
		at += n + 1;
	}
	return true;
}

/* The pattern's segment at *at, which moves behind it. */
static struct span next_segment(const char **at)
{
	const char *start = *at + 1;
	size_t n = strcspn(start, "/");

	*at = start + n;
	return SPAN(start, n);
}

static bool fits(const char *pattern, const struct segments *path, u32 *names)
{
	*names = 0;
	if (strcmp(pattern, "/") == 0)
		return path->n == 0;
	for (u32 i = 0; i < path->n; i++) {
		if (*pattern != '/')
			return false;
		struct span want = next_segment(&pattern);
		if (want.p[0] == ':' ? path->at[i].n == 0 :
				       want.n != path->at[i].n || memcmp(want.p, path->at[i].p, want.n) != 0)
			return false;
		if (want.p[0] == ':')
			*names |= 1u << (SEGMENTS_MAX - i);
	}
	return *pattern == '\0';
}

/* Like form_decode(), but '+' is itself; control characters do not belong into a path. */
static char *decode(struct exchange *x, struct span s, size_t *n)
{
	char *out = exchange_alloc(x, s.n + 1);

	*n = 0;
	for (size_t i = 0; out && i < s.n; i++) {
		u8 c = s.p[i];
		if (c == '%') {
			if (i + 2 >= s.n || hex_digit(s.p[i + 1]) < 0 || hex_digit(s.p[i + 2]) < 0)
				return NULL;
			c = (u8)(hex_digit(s.p[i + 1]) << 4 | hex_digit(s.p[i + 2]));
			i += 2;
		}
		if (c < 0x20 || c == 0x7f)
			return NULL;
		out[(*n)++] = (char)c;
	}
	return out && utf8_is_valid(SPAN(out, *n)) ? out : NULL;
}

static bool take_params(struct exchange *x, const char *pattern, const struct segments *path)
{
	u32 n = 0;

	for (u32 i = 0; i < path->n; i++) {
		struct span name = next_segment(&pattern);
		size_t len;
		char *text;

		if (name.p[0] != ':')
			continue;
		text = n < EXCHANGE_PARAMS_MAX ? decode(x, path->at[i], &len) : NULL;
		if (!text)
			return false;
		x->param[n++] = SPAN(text, len);
	}
	return true;
}

/* Who speaks when no route is found: the area that has the first segment for itself. */
static const struct area *area_of(const struct area *const *areas, const struct segments *path)
{
	for (u32 i = 0; path->n > 0 && i < AREAS; i++)
		for (u32 k = 0; k < areas[i]->n_routes; k++) {
			const char *at = areas[i]->routes[k].pattern;
			struct span first = next_segment(&at);
			if (first.n == path->at[0].n && first.n > 0 && memcmp(first.p, path->at[0].p, first.n) == 0)
				return areas[i];
		}
	return areas[AREA_WEB];
}

void router_find(struct exchange *x, struct match *out)
{
	const struct area *const *areas = run_of(x)->server->areas;
	struct segments path;
	u32 best = UINT32_MAX, names;

	*out = (struct match){ .area = areas[AREA_WEB], .status = 404 };
	if (!split(x->path, &path))
		return;
	out->area = area_of(areas, &path);
	for (u32 i = 0; i < AREAS; i++)
		for (u32 k = 0; k < areas[i]->n_routes; k++) {
			const struct route *route = &areas[i]->routes[k];

			if (!fits(route->pattern, &path, &names))
				continue;
			out->allowed |= 1u << route->method;
			if (route->method != x->method || names >= best)
				continue;
			best = names;
			out->area = areas[i];
			out->route = route;
		}
	if (out->route && !take_params(x, out->route->pattern, &path))
		out->route = NULL;
	else if (out->route)
		out->status = 0;
	else if (out->allowed)
		out->status = 405;
}

/* ---- words for what went wrong -------------------------------------------------------------------------------------------------------- */

void problem_text(struct exchange *x, u16 status, const char *reason)
{
	exchange_status(x, status);
	exchange_header(x, "Content-Type", "text/plain; charset=utf-8");
	strbuf_printf(&x->out, "%s\n", reason ? reason : http_reason(status));
	exchange_send(x);
}

/* Reasons are sentences of ours, but may quote what was sent, and be cut anywhere. */
void problem_json(struct exchange *x, u16 status, const char *reason)
{
	struct json_out o = JSON_OUT;

	json_open(&o, NULL);
	json_open(&o, "error");
	json_put_str(&o, "reason", reason ? reason : http_reason(status));
	json_close(&o);
	json_close(&o);
	exchange_status(x, status);
	exchange_header(x, "Content-Type", "application/json; charset=utf-8");
	if (json_ok(&o))
		strbuf_add(&x->out, json_text(&o).p, json_text(&o).n);
	else
		x->out.failed = true;
	json_out_free(&o);
	exchange_send(x);
}
