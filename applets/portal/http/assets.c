#include "applets/portal/http/assets.h"

#include "applets/portal/http/exchange.h"

#define PREFIX_LEN (sizeof("/assets/") - 1)

const char *asset_url(const char *name)
{
	for (const struct asset *a = assets; a->name; a++)
		if (strcmp(a->name, name) == 0)
			return a->url;
	return "";
}

static const char *type_of(const char *name)
{
	static const struct {
		const char *extension, *type;
	} types[] = {
		{ ".css", "text/css; charset=utf-8" }, { ".js", "text/javascript; charset=utf-8" }, { ".svg", "image/svg+xml" },
		{ ".png", "image/png" },	       { ".ico", "image/x-icon" },		    { ".webmanifest", "application/manifest+json" },
		{ ".json", "application/json" },
	};
	const char *extension = strrchr(name, '.');

	for (size_t i = 0; extension && i < ARRAY_LEN(types); i++)
		if (strcmp(extension, types[i].extension) == 0)
			return types[i].type;
	return "application/octet-stream";
}

/* One element of Accept-Encoding: gzip, with a weight that is not nothing. */
static bool is_gzip(struct span s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = SPAN(s.p + 1, s.n - 1);
	if (s.n < 4 || strncasecmp((const char *)s.p, "gzip", 4) != 0)
		return false;
	const u8 *q = memmem(s.p, s.n, "q=", 2), *end = s.p + s.n;
	if (!q)
		return s.n == 4 || s.p[4] == ' ' || s.p[4] == ';';
	for (q += 2; q < end; q++)
		if (*q >= '1' && *q <= '9')
			return true;
	return false;
}

static bool takes_gzip(const struct exchange *x)
{
	struct span rest = http_field(x->head, "accept-encoding");

	while (rest.n > 0) {
		const u8 *comma = memchr(rest.p, ',', rest.n);
		struct span one = comma ? SPAN(rest.p, (size_t)(comma - rest.p)) : rest;
		if (is_gzip(one))
			return true;
		rest = comma ? SPAN(comma + 1, rest.n - one.n - 1) : SPAN_NONE;
	}
	return false;
}

void assets_serve(struct exchange *x)
{
	for (const struct asset *a = assets; a->name; a++) {
		if (strcmp(a->url + PREFIX_LEN, (const char *)x->param[0].p) != 0)
			continue;
		bool is_packed = a->gzip && takes_gzip(x);
		exchange_header(x, "Content-Type", "%s", type_of(a->name));
		exchange_header(x, "Cache-Control", "public, max-age=31536000, immutable");
		exchange_header(x, "Vary", "Accept-Encoding");
		if (is_packed)
			exchange_header(x, "Content-Encoding", "gzip");
		strbuf_add(&x->out, is_packed ? a->gzip : a->plain, is_packed ? a->n_gzip : a->n_plain);
		exchange_send(x);
		return;
	}
	exchange_problem(x, 404, NULL);
}
