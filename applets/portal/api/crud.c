#include "applets/portal/api/api.h"

#include "applets/portal/model/pool.h"
#include "applets/portal/model/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- values of a request into an action ------------------------------------------------------------------------------------------ */

struct reading {
	struct api_call *c;
	struct action *a;
	const struct api_field *wrong;
	char why[120];
};

static bool refuse(struct reading *r, const struct api_field *f, const char *why)
{
	r->wrong = f;
	snprintf(r->why, sizeof(r->why), "%s", why);
	return false;
}

static size_t characters(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* "22", "8000 - 9000" or 22 to how actions write it: "22", "8000-9000". */
static bool put_ports(struct strbuf *b, const struct cJSON *ports)
{
	bool is_first = true;

	json_each(port, ports) {
		const char *text = json_value_str(port);
		u64 n;

		strbuf_putc(b, is_first ? ':' : ',');
		is_first = false;
		if (!text) {
			if (json_value_uint(port, 65535, &n))
				return false;
			strbuf_printf(b, "%u", (unsigned)n);
			continue;
		}
		if (!*text || strspn(text, "0123456789- ") != strlen(text))
			return false;
		for (; *text; text++)
			if (*text != ' ')
				strbuf_putc(b, *text);
	}
	return true;
}

static bool read_filters(struct reading *r, const struct api_field *f, const struct cJSON *v)
{
	struct strbuf all = { .max = EXCHANGE_BODY_MAX };
	struct json_get g = JSON_GET;
	bool ok = json_is_array(v);

	if (ok) {
		json_each(one, v) {
			const char *protocol = json_is_object(one) ? json_str(&g, one, "protocol") : "";
			const struct cJSON *ports = json_is_object(one) ? json_array_opt(&g, one, "ports") : NULL;

			if (g.err || !*protocol || strpbrk(protocol, " :,\n")) {
				ok = false;
				break;
			}
			strbuf_printf(&all, "%s%s", all.n ? " " : "", protocol);
			ok = !ports || put_ports(&all, ports);
			if (!ok)
				break;
		}
	}
	if (ok && strbuf_ok(&all))
		action_set(r->a, f->value, strbuf_text(&all));
	strbuf_free(&all);
	return ok ? true : refuse(r, f, "must be a list of {\"protocol\":\"tcp\",\"ports\":[\"22\",\"8000 - 9000\"]}");
}

static bool read_condition(struct strbuf *b, const struct cJSON *one)
{
	struct json_get g = JSON_GET;
	const char *property = json_is_object(one) ? json_str_null(&g, one, "property") : NULL;
	const char *operator = json_is_object(one) ? json_str_null(&g, one, "operator") : NULL;
	const struct cJSON *values = json_is_object(one) ? json_array(&g, one, "values") : NULL;

	if (!values || g.err)
		return false;
	property = property ? property : property_names[PROP_REGION]; /* spec 60 §1.12 */
	operator = operator ? operator : "is_in";
	if (!*property || !*operator || strpbrk(property, " \n") || strpbrk(operator, " \n"))
		return false;
	strbuf_printf(b, "%s %s", property, operator);
	json_each(value, values) {
		const char *text = json_value_str(value);
		if (!text || !*text || strpbrk(text, " \n\t"))
			return false;
		strbuf_printf(b, " %s", text);
	}
	return true;
}

static bool read_conditions(struct reading *r, const struct api_field *f, const struct cJSON *v)
{
	bool ok = json_is_array(v);

	if (ok && json_count(v) == 0)
		action_set(r->a, f->value, "");
	if (ok) {
		json_each(one, v) {
			struct strbuf line = { .max = EXCHANGE_BODY_MAX };

			ok = read_condition(&line, one);
			if (ok && strbuf_ok(&line))
				action_set(r->a, f->value, strbuf_text(&line));
			strbuf_free(&line);
			if (!ok)
				break;
		}
	}
	return ok ? true : refuse(r, f, "must be a list of {\"property\":…,\"operator\":…,\"values\":[…]}");
}

static bool read_text(struct reading *r, const struct api_field *f, const struct cJSON *v)
{
	const char *text = json_value_str(v);
	size_t max = f->max ? f->max : 255;

	if (!text)
		return refuse(r, f, "must be text");
	if (characters(text) > max) {
		snprintf(r->why, sizeof(r->why), "must have at most %zu characters", max);
		r->wrong = f;
		return false;
	}
	action_set(r->a, f->value, text);
	return true;
}

static bool read_value(struct reading *r, const struct api_field *f, const struct cJSON *v)
{
	const char *text = json_value_str(v);
	struct uuid id;

	if (json_is_null(v)) {
		if (!(f->flags & API_NULLABLE))
			return refuse(r, f, "must not be null");
		if (f->type == API_TEXT)
			action_set(r->a, f->value, "");
		return true;
	}
	switch (f->type) {
	case API_ID:
		if (json_value_uuid(v, &id))
			return refuse(r, f, "must be an id");
		action_set_id(r->a, f->value, &id);
		return true;
	case API_TEXT:
		return read_text(r, f, v);
	case API_BOOL:
		if (!json_is_true(v) && !json_is_false(v))
			return refuse(r, f, "must be true or false");
		action_set_bool(r->a, f->value, json_is_true(v));
		return true;
	case API_ENUM:
		for (u32 i = 0; text && f->names[i]; i++)
			if (strcmp(f->names[i], text) == 0) {
				action_set(r->a, f->value, text);
				return true;
			}
		return refuse(r, f, "is none of the values it can have");
	case API_FILTERS:
		return read_filters(r, f, v);
	case API_CONDITIONS:
		return read_conditions(r, f, v);
	case API_INT:
	case API_TIME:
	case API_IPV4:
	case API_IPV6:
	case API_ONLINE:
	case API_DISABLED:
		break;
	}
	return true;
}

/* False: answered. */
static bool read_fields(struct api_call *c, const struct cJSON *root, struct action *a, bool is_new)
{
	struct reading r = { .c = c, .a = a };
	struct json_get g = JSON_GET;

	if (!json_is_object(root)) {
		api_fail(c, 400, "The root of the body must be an object");
		return false;
	}
	for (u32 i = 0; i < c->r->n_fields && !r.wrong; i++) {
		const struct api_field *f = &c->r->fields[i];
		const struct cJSON *v = f->value ? json_member(&g, root, f->name) : NULL;

		if (v)
			(void)read_value(&r, f, v);
		else if (f->value && is_new && f->flags & API_REQUIRED)
			(void)refuse(&r, f, "is required");
	}
	if (!g.err && !r.wrong)
		return true;
	if (g.err)
		api_fail(c, 400, "The body has a member twice");
	else
		api_fail_field(c, r.wrong->name, r.why);
	return false;
}

/* ---- list, show -------------------------------------------------------------------------------------------------------------------------- */

static int list_row(void *ctx, enum kind k, const void *row)
{
	struct api_call *c = ctx;

	(void)k;
	json_open(&c->out, NULL);
	api_put_entity(c, c->r, row);
	json_close(&c->out);
	return 0;
}

static void narrow(struct store_query *q, const char *field, const char *value)
{
	if (q->n_filters < STORE_FILTERS_MAX)
		q->filters[q->n_filters++] = (struct store_filter){ field, FILTER_IS, value };
}

static bool is_address(const struct api_field *f)
{
	return f->type == API_IPV4 || f->type == API_IPV6;
}

/* A tunnel address as the number that is stored, 0 for one that is nobody's; NULL: it is no address. */
static const char *address_of(const char *text, enum pool p, char out[static 12])
{
	struct ip ip, own;
	u32 n;

	if (ip_parse(SPAN(text, strlen(text)), &ip) || ip.family != (p == POOL_IPV4 ? 4 : 6))
		return NULL;
	n = get_be32(ip.b + (p == POOL_IPV4 ? 0 : 12));
	own = pool_ip(p, n);
	snprintf(out, 12, "%u", ip_eq(&own, &ip) ? n : 0);
	return out;
}

bool api_parent(struct api_call *c, struct uuid *parent)
{
	const struct api_resource *r = c->r;

	if (!api_id(c, 0, parent))
		return false;
	if (directory_get(hub_directory(c->x->portal->hub), r->parent_kind, &c->account->e.id, parent))
		return true;
	api_fail(c, 404, NULL);
	return false;
}

void api_list(struct exchange *x)
{
	struct api_call c;
	struct store_query q = { .kind = KIND_COUNT };
	struct uuid parent;
	char parent_text[UUID_STRLEN], number[4][12];
	u32 n_numbers = 0;

	if (!api_begin(&c, x) || (c.r->parent && !api_parent(&c, &parent)) || !api_page_query(&c, &q))
		return;
	q.kind = c.r->kind;
	if (c.r->parent)
		narrow(&q, c.r->parent_column, uuid_format(&parent, parent_text));
	if (c.r->only_type >= 0)
		for (u32 i = 0; i < kinds[q.kind].field_count; i++)
			if (strcmp(kinds[q.kind].fields[i].name, "type") == 0)
				narrow(&q, "type", kinds[q.kind].fields[i].names[c.r->only_type]);
	for (u32 i = 0; i < c.r->n_fields && q.n_filters < STORE_FILTERS_MAX; i++) {
		const char *value = NULL;

		if (c.r->fields[i].flags & API_QUERY && !api_query(&c, c.r->fields[i].name, &value))
			return;
		if (value && is_address(&c.r->fields[i])) {
			value = address_of(value, c.r->fields[i].type == API_IPV4 ? POOL_IPV4 : POOL_IPV6, number[n_numbers++ % ARRAY_LEN(number)]);
			if (!value) {
				api_fail(&c, 400, "The query holds something that is no address");
				return;
			}
		}
		if (value)
			narrow(&q, c.r->fields[i].column, value);
	}
	api_send_page(&c, &q, list_row, &c);
}

/* The row of the last parameter, below its parent and of the right type; false: answered. */
static bool find_row(struct api_call *c, union any_entity *out)
{
	const struct api_resource *r = c->r;
	struct uuid parent = { 0 }, id;
	int rc;

	if ((r->parent && !api_parent(c, &parent)) || !api_id(c, r->parent ? 1 : 0, &id))
		return false;
	rc = store_get(c->x->portal->store, r->kind, &c->account->e.id, &id, out);
	if (rc) {
		api_fail_store(c, rc);
		return false;
	}
	bool fits = true;
	for (u32 i = 0; i < kinds[r->kind].field_count; i++) {
		const struct field *f = &kinds[r->kind].fields[i];

		if (r->parent && strcmp(f->name, r->parent_column) == 0)
			fits &= uuid_eq(field_of(out, f), &parent);
		if (r->only_type >= 0 && strcmp(f->name, "type") == 0)
			fits &= *(const int *)field_of(out, f) == r->only_type;
	}
	if (fits)
		return true;
	entity_deinit(r->kind, out);
	api_fail(c, 404, NULL);
	return false;
}

void api_show(struct exchange *x)
{
	union any_entity row;
	struct api_call c;

	if (!api_begin(&c, x) || !find_row(&c, &row))
		return;
	api_send_row(&c, 200, &row);
	entity_deinit(c.r->kind, &row);
}

/* ---- create, update, delete ---------------------------------------------------------------------------------------------------------------- */

/* A device pool is a resource with actions of its own. */
static const char *noun_of(const struct api_call *c, const struct cJSON *root)
{
	struct json_get g = JSON_GET;
	const struct cJSON *type = c->r->kind == KIND_RESOURCE && json_is_object(root) ? json_member(&g, root, "type") : NULL;
	const char *text = type ? json_value_str(type) : NULL;

	return text && strcmp(text, resource_type_names[RESOURCE_POOL]) == 0 ? "pool" : c->r->noun;
}

/* A pool has no address, site or filters: what was given of them is dropped (spec 60 §1.11). */
static void keep_of_pool(struct action *a)
{
	u32 n = 0;

	for (u32 i = 0; i < a->rq.n_fields; i++) {
		const char *name = a->rq.field[i].name;

		if (strcmp(name, "name") == 0 || strcmp(name, "description") == 0)
			a->rq.field[n++] = a->rq.field[i];
		else
			free((char *)(uintptr_t)a->rq.field[i].value);
	}
	a->rq.n_fields = n;
}

void api_create(struct exchange *x)
{
	const struct cJSON *root;
	struct api_call c;
	struct action a;

	if (!api_begin(&c, x))
		return;
	root = api_root(&c, c.r->root);
	if (!root)
		return;
	action_begin(&a, noun_of(&c, root), "add", &c.by);
	if (read_fields(&c, root, &a, true)) {
		if (strcmp(a.rq.noun, "pool") == 0)
			keep_of_pool(&a);
		if (action_run(&a, x->portal) == ADMIN_OK) {
			char id[UUID_STRLEN];

			exchange_header(x, "Location", "/%s/%s", c.r->segment, uuid_format(&a.reply.id, id));
			api_send_now(&c, 201, &a.reply.id);
		} else {
			api_fail_action(&c, &a.reply);
		}
	}
	action_end(&a);
}

void api_update(struct exchange *x)
{
	const struct cJSON *root;
	union any_entity row;
	struct api_call c;
	struct action a;

	if (!api_begin(&c, x) || !find_row(&c, &row))
		return;
	struct uuid id = row.e.id;
	root = api_root(&c, c.r->root);
	action_begin(&a, c.r->noun, "update", &c.by);
	action_set_id(&a, "target", &id);
	if (root && read_fields(&c, root, &a, false) && api_is_unchanged(&c, &row)) {
		if (action_run(&a, x->portal) == ADMIN_OK)
			api_send_now(&c, 200, &id);
		else
			api_fail_action(&c, &a.reply);
	}
	entity_deinit(c.r->kind, &row);
	action_end(&a);
}

void api_delete(struct exchange *x)
{
	union any_entity row;
	struct api_call c;
	struct action a;

	if (!api_begin(&c, x) || !find_row(&c, &row))
		return;
	if (!api_is_unchanged(&c, &row)) {
		entity_deinit(c.r->kind, &row);
		return;
	}
	api_put_data(&c, &row);
	action_begin(&a, c.r->noun, "delete", &c.by);
	action_set_id(&a, "target", &row.e.id);
	entity_deinit(c.r->kind, &row);
	if (action_run(&a, x->portal) == ADMIN_OK)
		api_send(&c, 200);
	else
		api_fail_action(&c, &a.reply);
	action_end(&a);
}
