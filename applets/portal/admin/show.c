/* Entities as rows of answers, and the lists that are the same for every kind. */
#include "applets/portal/admin/rights.h"
#include "applets/portal/model/pool.h"

#include <stdio.h>

/* ---- showing ------------------------------------------------------------------------------------------------------------------------- */

/* What a table shows besides id and name. */
static bool is_column(enum kind k, const char *field)
{
	static const char *const columns[KIND_COUNT] = {
		[KIND_ACCOUNT] = " name slug disabled_at ",
		[KIND_ACTOR] = " name type email disabled_at ",
		[KIND_GROUP] = " name type ",
		[KIND_SITE] = " name managed_by ",
		[KIND_RESOURCE] = " name type address filters ",
		[KIND_POLICY] = " conditions disabled_at ",
		[KIND_CLIENT] = " name ipv4 ",
		[KIND_GATEWAY] = " name ipv4 ",
		[KIND_CLIENT_TOKEN] = " name expires_at ",
		[KIND_GATEWAY_TOKEN] = " name ",
		[KIND_RELAY_TOKEN] = " name ",
		[KIND_AUTH_PROVIDER] = " type name disabled_at is_default is_verified ",
		[KIND_IDENTITY] = " issuer idp_id email ",
		[KIND_PORTAL_SESSION] = " expires_at remote_ip last_seen_at ",
		[KIND_API_TOKEN] = " name expires_at last_seen_at ",
		[KIND_CREDENTIAL] = " type name used_at ",
		[KIND_LINK] = " purpose expires_at used_at ",
		[KIND_DIRECTORY] = " type name disabled_at synced_at error_message ",
		[KIND_MAIL] = " recipient subject state last_error ",
	};
	char padded[64];

	snprintf(padded, sizeof(padded), " %s ", field);
	return columns[k] && strstr(columns[k], padded);
}

/* What a reference is called among the values of a request, and what it refers to. */
static const struct reference {
	const char *field, *value;
	enum kind kind;
} references[] = {
	{ "actor_id", "actor", KIND_ACTOR },	   { "group_id", "group", KIND_GROUP },
	{ "site_id", "site", KIND_SITE },	   { "resource_id", "resource", KIND_RESOURCE },
	{ "client_id", "client", KIND_CLIENT },    { "auth_provider_id", "provider", KIND_AUTH_PROVIDER },
	{ "gateway_id", "gateway", KIND_GATEWAY }, { "directory_id", "directory", KIND_DIRECTORY },
};

static const struct reference *reference_of(const struct field *f)
{
	for (size_t i = 0; f->type == FIELD_UUID && i < ARRAY_LEN(references); i++)
		if (strcmp(references[i].field, f->name) == 0)
			return &references[i];
	return NULL;
}

static const char *referred(const struct admin *a, const struct uuid *account, const struct reference *r, const struct uuid *id)
{
	const void *e = directory_holds(r->kind) ? directory_get(admin_dir(a), r->kind, account, id) : NULL;

	return e ? admin_name_of(r->kind, e) : NULL;
}

static void show_field(struct admin *a, const struct entity *e, const struct field *f)
{
	const void *p = field_of(e, f);
	char text[64];
	struct ip ip;

	switch ((enum field_type)f->type) {
	case FIELD_UUID:
		sheet_put(&a->sheet, f->name, uuid_is_null(p) ? NULL : uuid_format(p, text));
		break;
	case FIELD_TEXT:
		sheet_put(&a->sheet, f->name, *(char *const *)p);
		break;
	case FIELD_BOOL:
		sheet_put_bool(&a->sheet, f->name, *(const bool *)p);
		break;
	case FIELD_INT:
		if (*(const i64 *)p < 0)
			sheet_put(&a->sheet, f->name, NULL);
		else
			sheet_put_int(&a->sheet, f->name, *(const i64 *)p);
		break;
	case FIELD_TIME:
		sheet_put(&a->sheet, f->name, *(const i64 *)p ? admin_format_time(*(const i64 *)p, text) : NULL);
		break;
	case FIELD_ENUM:
		sheet_put(&a->sheet, f->name, f->names[*(const int *)p][0] ? f->names[*(const int *)p] : NULL);
		break;
	case FIELD_IP4:
	case FIELD_IP6:
		ip = pool_ip(f->type == FIELD_IP4 ? POOL_IPV4 : POOL_IPV6, *(const u32 *)p);
		sheet_put(&a->sheet, f->name, ip_format(&ip, text));
		break;
	case FIELD_KEY:
		break;
	}
}

void admin_show(struct admin *a, enum kind k, const void *entity)
{
	const struct entity *e = entity;
	char text[UUID_STRLEN];

	if (a->sheet.is_single)
		a->id = e->id;
	sheet_row(&a->sheet);
	sheet_put(&a->sheet, "id", uuid_format(&e->id, text));
	for (u32 i = 0; i < kinds[k].field_count; i++) {
		const struct field *f = &kinds[k].fields[i];
		const struct reference *ref = reference_of(f);

		if (f->flags & FIELD_SECRET)
			continue;
		show_field(a, e, f);
		if (!is_column(k, f->name))
			sheet_detail(&a->sheet);
		if (ref && directory_holds(ref->kind))
			sheet_put(&a->sheet, ref->value, referred(a, &e->account_id, ref, field_of(entity, f)));
	}
	if (k == KIND_CLIENT || k == KIND_GATEWAY)
		sheet_put_bool(&a->sheet, "online", hub_is_online(a->portal->hub, k, &e->account_id, &e->id));
	sheet_put(&a->sheet, "inserted_at", admin_format_time(e->inserted_at, (char[32]){ 0 }));
	sheet_detail(&a->sheet);
	sheet_put(&a->sheet, "updated_at", admin_format_time(e->updated_at, (char[32]){ 0 }));
	sheet_detail(&a->sheet);
}

/* ---- lists ------------------------------------------------------------------------------------------------------------------------------ */

bool admin_is_hidden(const struct admin *a, enum kind k, const void *row)
{
	return k == KIND_ACTOR && strcmp(a->noun->name, "api-client") == 0 && ((const struct actor *)row)->type != ACTOR_API;
}

/* What a list is narrowed to. */
struct narrow {
	struct admin *a;
	struct uuid id[ADMIN_FIELDS_MAX]; /* of a reference that is asked for */
};

static bool fits(const struct narrow *w, enum kind k, const void *row)
{
	for (u32 i = 0; i < w->a->rq->n_fields; i++) {
		const struct admin_field *q = &w->a->rq->field[i];

		for (u32 j = 0; j < kinds[k].field_count; j++) {
			const struct field *f = &kinds[k].fields[j];
			const struct reference *ref = reference_of(f);

			if (ref && strcmp(ref->value, q->name) == 0 && !uuid_eq(field_of(row, f), &w->id[i]))
				return false;
			if (f->type == FIELD_ENUM && strcmp(f->name, q->name) == 0 &&
			    *(const int *)field_of(row, f) != admin_enum(f->names, q->value))
				return false;
		}
	}
	return !admin_is_hidden(w->a, k, row);
}

static int show_each(void *ctx, enum kind k, const void *entity)
{
	struct narrow *w = ctx;

	if (fits(w, k, entity))
		admin_show(w->a, k, entity);
	return admin_pause_after(w->a, entity);
}

static int read_narrow(struct admin *a, enum kind k, const struct account *account, struct narrow *w)
{
	int rc = 0;

	w->a = a;
	for (u32 i = 0; i < a->rq->n_fields && account && !rc; i++)
		for (u32 j = 0; j < kinds[k].field_count && !rc; j++) {
			const struct field *f = &kinds[k].fields[j];
			const struct reference *ref = reference_of(f);

			if (ref && strcmp(ref->value, a->rq->field[i].name) == 0)
				rc = admin_set_id(a, ref->kind, account, ref->value, &w->id[i]);
		}
	return rc;
}

int admin_list(struct admin *a, enum kind k)
{
	const struct account *account = NULL;
	struct narrow w;
	int rc = 0;

	if (k != KIND_ACCOUNT || rights_account(a))
		rc = admin_account(a, &account);
	rc = rc ? rc : read_narrow(a, k, account, &w);
	if (rc)
		return rc;
	if (k == KIND_ACCOUNT && account) {
		admin_show(a, KIND_ACCOUNT, account);
		return 0;
	}
	return admin_each(a, k, account ? &account->e.id : NULL, show_each, &w);
}

int run_list(struct admin *a)
{
	return admin_list(a, a->noun->kind);
}

