/* Fields of forms and queries, decoded once, when the first is asked for. */
#include "applets/portal/http/exchange_int.h"
#include "core/base/utf8.h"
#include "core/http/url.h"

static const char *decode(struct exchange *x, struct span text)
{
	char *out = exchange_alloc(x, text.n + 1);
	size_t n;

	return out && form_decode(text, out, text.n + 1, &n) == 0 && utf8_is_valid(SPAN(out, n)) ? out : NULL;
}

static void read_pairs(struct exchange *x, struct span text, struct pairs *out)
{
	struct span name, value;
	u32 n = 1;

	out->is_read = true;
	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '&';
	out->at = exchange_alloc(x, MIN(n, EXCHANGE_PAIRS_MAX) * sizeof(*out->at));
	while (out->at && out->n < EXCHANGE_PAIRS_MAX && out->n < n && form_next(&text, &name, &value) == 1) {
		struct pair *p = &out->at[out->n++];
		*p = (struct pair){ decode(x, name), decode(x, value) };
		out->is_spoiled = out->is_spoiled || !p->name || !p->value;
	}
	out->is_spoiled = out->is_spoiled || !out->at || text.n > 0;
}

static const char *nth(const struct pairs *p, const char *name, u32 i)
{
	for (u32 k = 0; k < p->n; k++)
		if (p->at[k].name && strcmp(p->at[k].name, name) == 0 && i-- == 0)
			return p->at[k].value;
	return NULL;
}

static bool is_form(const struct exchange *x)
{
	static const char type[] = "application/x-www-form-urlencoded";
	struct span given = http_field(x->head, "content-type");
	const u8 *end = given.n ? memchr(given.p, ';', given.n) : NULL;

	if (end)
		given.n = (size_t)(end - given.p);
	while (given.n > 0 && given.p[given.n - 1] == ' ')
		given.n--;
	return span_eq_nocase(given, type);
}

const char *exchange_form_nth(struct exchange *x, const char *name, u32 i)
{
	struct run *r = run_of(x);

	if (!r->form.is_read)
		read_pairs(x, is_form(x) ? x->body : SPAN_NONE, &r->form);
	return nth(&r->form, name, i);
}

bool exchange_form_is_spoiled(struct run *r)
{
	if (!r->form.is_read)
		read_pairs(&r->x, is_form(&r->x) ? r->x.body : SPAN_NONE, &r->form);
	return r->form.is_spoiled;
}

const char *exchange_form(struct exchange *x, const char *name)
{
	return exchange_form_nth(x, name, 0);
}

const char *exchange_query_nth(struct exchange *x, const char *name, u32 i)
{
	struct run *r = run_of(x);

	if (!r->query.is_read)
		read_pairs(x, x->query, &r->query);
	return nth(&r->query, name, i);
}

const char *exchange_query(struct exchange *x, const char *name)
{
	return exchange_query_nth(x, name, 0);
}
