#define LOG_TARGET "portal::admin"

#include "applets/portal/admin/rights.h"

#include "applets/portal/model/idna.h"
#include "core/base/log.h"
#include "applets/portal/model/rules.h"

#include <ctype.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define USEC_PER_SEC 1000000

const struct directory *admin_dir(const struct admin *a)
{
	return hub_directory(a->portal->hub);
}

const char *admin_arg(const struct admin *a, const char *name)
{
	for (u32 i = 0; i < a->rq->n_fields; i++)
		if (strcmp(a->rq->field[i].name, name) == 0)
			return a->rq->field[i].value;
	return NULL;
}

char *admin_args_joined(const struct admin *a, const char *name, const char *separator)
{
	size_t size = 1;
	char *out = NULL;

	for (u32 i = 0; i < a->rq->n_fields; i++) {
		const struct admin_field *f = &a->rq->field[i];
		char *more;

		if (strcmp(f->name, name) != 0)
			continue;
		more = realloc(out, size + strlen(f->value) + strlen(separator));
		if (!more) {
			free(out);
			return NULL;
		}
		if (!out)
			more[0] = '\0';
		out = more;
		size += (size_t)sprintf(out + size - 1, "%s%s", size > 1 ? separator : "", f->value);
	}
	return out;
}

/* ---- failing ---------------------------------------------------------------------------------------------------------------- */

int admin_fail(struct admin *a, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(a->err, sizeof(a->err), fmt, ap);
	va_end(ap);
	a->field[0] = '\0';
	size_t n = strncmp(a->err, "--", 2) == 0 ? strcspn(a->err, ": ") : 0;
	if (n > 2 && a->err[n] == ':')
		snprintf(a->field, sizeof(a->field), "%.*s", (int)n - 2, a->err + 2);
	return rc;
}

/* Rules speak of columns; who asks knows the names of values. */
static const char *value_name(const char *column, char out[static 32])
{
	static const struct {
		const char *column, *value;
	} other[] = { { "filters", "filter" }, { "conditions", "condition" }, { "dns_addresses", "dns" }, { "address_description", "description" },
		      { "resource_id", "resource" }, { "group_id", "group" }, { "site_id", "site" }, { "actor_id", "actor" }, { "dns_type", "dns" }, { "doh_provider", "dns" },
		      { "client_to_client_at", "client-to-client" }, { "orgunit_sync_enabled", "orgunit-sync" }, { "is_legacy", "legacy" } };

	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		if (strcmp(other[i].column, column) == 0)
			return other[i].value;
	snprintf(out, 32, "%s", column);
	for (char *p = out; *p; p++)
		*p = *p == '_' ? '-' : *p;
	return out;
}

int admin_complain(struct admin *a, const struct complaint *c)
{
	char name[32];

	return admin_fail(a, ERR_INVAL, "--%s: %s", value_name(c->field, name), c->reason);
}

/* ---- did somebody else change it? ---------------------------------------------------------------------------------------------------- */

struct meddling {
	const struct admin *a;
	i64 oldest;    /* of what the audit trail still tells */
	bool is_found; /* a value that the request sets */
};

/* What is no update does more than its values say. */
static bool is_set_here(const struct admin *a, const char *column)
{
	char name[32], none[48];

	snprintf(none, sizeof(none), "no-%s", column);
	return strcmp(a->rq->verb, "update") != 0 || admin_arg(a, value_name(column, name)) || admin_arg(a, none);
}

static int look_at_change(void *ctx, const struct store_audit *change)
{
	struct meddling *m = ctx;
	const struct kind_info *info = &kinds[m->a->noun->kind];

	for (u32 i = 0; i < info->field_count && change->new_json && !m->is_found; i++) {
		char member[64];

		snprintf(member, sizeof(member), "\"%s\":", info->fields[i].name); /* in a value the quotes would be escaped */
		m->is_found = strstr(change->new_json, member) && is_set_here(m->a, info->fields[i].name);
	}
	return 0;
}

static int look_at_oldest(void *ctx, const struct store_audit *change)
{
	((struct meddling *)ctx)->oldest = change->at;
	return 0;
}

/* What was noted about a row since, such as when a sync ran, is no change of what the request sets: the audit trail tells, as far as it reaches. */
static bool is_touched_only(struct admin *a, const struct entity *e, i64 since)
{
	struct meddling m = { .a = a, .oldest = INT64_MAX };
	const struct store_audit_query first = { .account = e->account_id, .after = -1, .limit = 1 },
				       changes = { .account = e->account_id, .id = e->id, .from = since + 1 };
	struct store *s = a->portal->store;
	bool has_more;

	return since < e->updated_at && kinds[a->noun->kind].is_audited && store_audit_page(s, &first, look_at_oldest, &m, &has_more) == 0 &&
	       m.oldest <= since && store_audit_page(s, &changes, look_at_change, &m, &has_more) == 0 && !m.is_found && !has_more;
}

int admin_check_unchanged(struct admin *a, const void *entity)
{
	const char *text = admin_arg(a, "if-updated-at");
	const struct entity *e = entity;
	char *end;

	if (!text || !*text)
		return 0;
	i64 since = strtoll(text, &end, 10);
	if (!*end && (since == e->updated_at || is_touched_only(a, e, since)))
		return 0;
	return admin_fail(a, ERR_STATE, "Somebody else changed this %s meanwhile: look at what it is now, then save again", a->noun->name);
}

int admin_store_failed(struct admin *a, int rc)
{
	if (a->err[0])
		return rc;
	switch (rc) {
	case ERR_EXISTS:
		return admin_fail(a, rc, "there is already such a %s", a->noun->name);
	case ERR_NOT_FOUND:
		return admin_fail(a, rc, "something that this %s refers to does not exist", a->noun->name);
	case ERR_NOMEM:
		return admin_fail(a, rc, "out of memory");
	}
	return admin_fail(a, rc, "nothing was changed: %s", store_reason(a->portal->store));
}

int admin_begin(struct admin *a)
{
	static const struct principal operator = { .kind = PRINCIPAL_OPERATOR };

	store_set_principal(a->portal->store, a->rq->by ? a->rq->by : &operator, a->wall);
	int rc = store_begin(a->portal->store, STORE_DURABLE);

	return rc ? admin_store_failed(a, rc) : 0;
}

int admin_end(struct admin *a, int rc)
{
	rc = rc ? store_rollback(a->portal->store, rc) : store_commit(a->portal->store);
	if (rc)
		return admin_store_failed(a, rc);
	return hub_publish(a->portal->hub, a->now, a->wall);
}

struct uuid admin_new_id(struct admin *a)
{
	return uuid_random(a->portal->rng);
}

/* ---- naming things --------------------------------------------------------------------------------------------------------------- */

int admin_account(struct admin *a, const struct account **out)
{
	const struct index *all = &admin_dir(a)->by_id[KIND_ACCOUNT];
	const char *name = admin_arg(a, "account");
	const struct uuid *own = rights_account(a);

	if (own) {
		const struct account *named = name ? directory_account_named(admin_dir(a), name) : NULL;

		*out = directory_account(admin_dir(a), own);
		return *out && (!name || named == *out) ? 0 : admin_fail(a, ERR_NOT_FOUND, "there is no account '%s'", name ? name : "");
	}
	if (name) {
		*out = directory_account_named(admin_dir(a), name);
		return *out ? 0 : admin_fail(a, ERR_NOT_FOUND, "there is no account '%s'", name);
	}
	if (all->n == 1) {
		*out = all->at[0];
		return 0;
	}
	return all->n == 0 ? admin_fail(a, ERR_NOT_FOUND, "there is no account yet: emberbox portal account add --name NAME --admin-email ADDRESS") :
			     admin_fail(a, ERR_INVAL, "there are %u accounts: say which with --account SLUG", all->n);
}

int admin_account_named(struct admin *a, const char *name, const struct account **out)
{
	const struct uuid *own = rights_account(a);

	*out = directory_account_named(admin_dir(a), name);
	return *out && (!own || uuid_eq(own, &(*out)->e.id)) ? 0 : admin_fail(a, ERR_NOT_FOUND, "there is no account '%s'", name);
}

const char *admin_name_of(enum kind k, const void *entity)
{
	switch ((int)k) {
	case KIND_ACTOR:
		return ((const struct actor *)entity)->name;
	case KIND_GROUP:
		return ((const struct group *)entity)->name;
	case KIND_SITE:
		return ((const struct site *)entity)->name;
	case KIND_RESOURCE:
		return ((const struct resource *)entity)->name;
	case KIND_CLIENT:
	case KIND_GATEWAY:
		return ((const struct device *)entity)->name;
	case KIND_CLIENT_TOKEN:
	case KIND_GATEWAY_TOKEN:
	case KIND_RELAY_TOKEN:
	case KIND_API_TOKEN:
		return ((const struct token *)entity)->name;
	case KIND_AUTH_PROVIDER:
		return ((const struct auth_provider *)entity)->name;
	case KIND_DIRECTORY:
		return ((const struct sync_directory *)entity)->name;
	case KIND_CREDENTIAL:
		return ((const struct credential *)entity)->name;
	}
	return NULL;
}

static bool is_called(enum kind k, const void *entity, const char *text)
{
	const char *name = admin_name_of(k, entity);
	const char *email = k == KIND_ACTOR ? ((const struct actor *)entity)->email : NULL;

	return (name && strcmp(name, text) == 0) || (email && email_means(text, email));
}

struct search {
	const char *text;
	u32 way, found;
	union any_entity *out;
};

/* On a way before this one, of which only actors have several. */
static bool was_found(const struct search *s, const struct actor *x)
{
	return s->way > 0 && (strcmp(x->name, s->text) == 0 || (s->way > 1 && strcasecmp(x->email, s->text) == 0));
}

static int compare_row(void *ctx, enum kind k, const void *entity)
{
	struct search *s = ctx;

	if (!is_called(k, entity, s->text) || was_found(s, entity))
		return 0;
	return s->found++ == 0 ? entity_copy(k, s->out, entity) : 0;
}

static int ambiguous(struct admin *a, enum kind k, const char *text, u32 n)
{
	return n == 0 ? admin_fail(a, ERR_NOT_FOUND, "there is no %s '%s'", a->noun->kind == k ? a->noun->name : kinds[k].name, text) :
			admin_fail(a, ERR_INVAL, "%u %s are called '%s': give the id", n, kinds[k].table, text);
}

int admin_find(struct admin *a, enum kind k, const struct account *account, const char *text, const void **out)
{
	struct uuid id;
	u32 n, found = 0;
	void *const *list = directory_all(admin_dir(a), k, &account->e.id, &n);

	*out = NULL;
	if (uuid_parse(SPAN(text, strlen(text)), &id) == 0) {
		*out = directory_get(admin_dir(a), k, &account->e.id, &id);
		return *out ? 0 : ambiguous(a, k, text, 0);
	}
	for (u32 i = 0; i < n; i++) {
		if (!is_called(k, list[i], text))
			continue;
		found++;
		*out = list[i];
	}
	return found == 1 ? 0 : ambiguous(a, k, text, found);
}

int admin_find_row(struct admin *a, enum kind k, const struct uuid *account, const char *text, union any_entity *out)
{
	static const struct uuid none;
	const struct uuid *of = kinds[k].is_global ? NULL : account;
	struct search s = { .text = text, .out = out };
	char normal[EMAIL_MAX + 1];
	struct uuid id;
	int rc;

	if (uuid_parse(SPAN(text, strlen(text)), &id) == 0) {
		rc = store_get(a->portal->store, k, kinds[k].is_global ? &none : account, &id, out);
		return rc == ERR_NOT_FOUND ? ambiguous(a, k, text, 0) : rc ? admin_store_failed(a, rc) : 0;
	}
	/* by the indexes of names and addresses, which may be the same */
	const struct store_filter ways[] = { { "name", FILTER_IS, text }, { "email", FILTER_IS, text }, { "email", FILTER_IS, normal } };
	u32 n = k != KIND_ACTOR ? 1 : email_normalise(text, normal) ? 2 : 3;
	rc = 0;
	for (; s.way < n && !rc; s.way++)
		rc = store_select(a->portal->store, k, of, &ways[s.way], 1, 0, compare_row, &s);
	if (rc && rc != ERR_INVAL) /* that: these have no names */
		return admin_store_failed(a, rc);
	if (s.found == 1)
		return 0;
	if (s.found > 1)
		entity_deinit(k, out);
	return ambiguous(a, k, text, s.found);
}

/* ---- time --------------------------------------------------------------------------------------------------------------------------- */

int admin_parse_time(const char *text, u64 wall, i64 *out)
{
	struct tm tm = { 0 };
	u64 ns;
	const char *end = strptime(text, "%Y-%m-%d", &tm);

	if (end && (*end == 'T' || *end == ' ')) {
		end = strptime(end + 1, "%H:%M:%S", &tm);
		if (end && *end == 'Z')
			end++;
	} else if (end) { /* a date lasts to its end (spec 60 §3.10) */
		tm.tm_hour = 23;
		tm.tm_min = tm.tm_sec = 59;
	}
	if (end && !*end) {
		*out = (i64)timegm(&tm) * USEC_PER_SEC;
		return 0;
	}
	if (options_duration(text, &ns) || ns > UINT64_MAX - wall)
		return ERR_INVAL;
	*out = (i64)((wall + ns) / 1000);
	return 0;
}

char *admin_format_time(i64 at, char buf[static 32])
{
	time_t t = (time_t)(at / USEC_PER_SEC);
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(buf, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return buf;
}

/* ---- verbs that are the same for every noun ------------------------------------------------------------------------------------------- */

/* The thing the request is about, whatever its kind. */
static int find_target(struct admin *a, union any_entity *out)
{
	const struct account *account;
	const char *target = admin_arg(a, "target");
	int rc;

	if (!target)
		return admin_fail(a, ERR_INVAL, "which %s?", a->noun->name);
	if (a->noun->kind == KIND_ACCOUNT) {
		rc = admin_account_named(a, target, &account);
		return rc ? rc : entity_copy(KIND_ACCOUNT, out, account);
	}
	rc = admin_account(a, &account);
	rc = rc ? rc : admin_find_row(a, a->noun->kind, &account->e.id, target, out);
	if (rc)
		return rc;
	rc = admin_is_hidden(a, a->noun->kind, out) ? admin_fail(a, ERR_NOT_FOUND, "there is no %s '%s'", a->noun->name, target) :
						      admin_check_unchanged(a, out);
	if (rc)
		entity_deinit(a->noun->kind, out);
	return rc;
}

int run_show(struct admin *a)
{
	union any_entity e;
	int rc = find_target(a, &e);

	if (rc)
		return rc;
	a->sheet.is_single = true;
	admin_show(a, a->noun->kind, &e);
	entity_deinit(a->noun->kind, &e);
	return 0;
}

static int check_deletion(struct admin *a, const union any_entity *e)
{
	i64 admins = 0;
	int rc;

	switch ((int)a->noun->kind) {
	case KIND_GROUP:
		if (e->group.type == GROUP_MANAGED)
			return admin_fail(a, ERR_DENIED, "the group '%s' is managed by the portal", e->group.name);
		break;
	case KIND_SITE:
		if (e->site.managed_by == MANAGED_BY_SYSTEM)
			return admin_fail(a, ERR_DENIED, "the site '%s' is managed by the portal", e->site.name);
		break;
	case KIND_RESOURCE:
		if (e->resource.type == RESOURCE_INTERNET)
			return admin_fail(a, ERR_DENIED, "the internet resource is managed by the portal");
		break;
	case KIND_ACTOR:
		if (rights_is_self(a, &e->e.id))
			return admin_fail(a, ERR_DENIED, "You cannot delete yourself: ask another admin");
		if (e->actor.type != ACTOR_ADMIN || e->actor.disabled_at)
			break;
		rc = store_count(a->portal->store, COUNT_ENABLED_ADMINS, &e->e.account_id, &admins);
		if (rc)
			return admin_store_failed(a, rc);
		if (admins <= 1)
			return admin_fail(a, ERR_DENIED, "'%s' is the last enabled admin of the account", e->actor.name);
		break;
	}
	return 0;
}

/* The answer of a deletion: what went, and how much with it. */
static void show_deleted(struct admin *a, const struct uuid *id, const struct dependents *d)
{
	char text[UUID_STRLEN];

	a->id = *id;
	a->sheet.is_single = true;
	sheet_row(&a->sheet);
	sheet_put(&a->sheet, "id", uuid_format(id, text));
	for (u32 i = 0; i < d->n; i++)
		sheet_put_int(&a->sheet, kinds[d->at[i].kind].table, d->at[i].n);
	a->is_quiet = d->n == 0;
}

int run_delete(struct admin *a)
{
	enum kind k = a->noun->kind;
	struct dependents d;
	union any_entity e;
	int rc = find_target(a, &e);

	if (rc)
		return rc;
	rc = check_deletion(a, &e);
	if (!rc && admin_dependents(a->portal, k, &e.e.account_id, &e.e.id, &d))
		d.n = 0;
	rc = rc ? rc : admin_begin(a);
	if (!rc)
		rc = admin_end(a, store_delete(a->portal->store, k, &e.e.account_id, &e.e.id));
	if (!rc)
		show_deleted(a, &e.e.id, &d);
	entity_deinit(k, &e);
	return rc;
}

/* ---- running ---------------------------------------------------------------------------------------------------------------------------- */

const struct noun *find_noun(const char *name)
{
	for (u32 i = 0; i < n_nouns; i++)
		if (strcmp(nouns[i].name, name) == 0)
			return &nouns[i];
	return NULL;
}

const struct verb *find_verb(const struct noun *n, const char *name)
{
	for (u32 i = 0; i < n->n_verbs; i++)
		if (strcmp(n->verbs[i].name, name) == 0)
			return &n->verbs[i];
	return NULL;
}

static int check_fields(struct admin *a, const struct verb *v)
{
	for (u32 i = 0; i < a->rq->n_fields; i++) {
		bool is_known = strcmp(a->rq->field[i].name, "if-updated-at") == 0;

		for (u32 j = 0; j < v->n_options; j++)
			is_known |= strcmp(v->options[j].name, a->rq->field[i].name) == 0;
		if (!is_known)
			return admin_fail(a, ERR_INVAL, "%s %s takes no '%s'", a->noun->name, v->name, a->rq->field[i].name);
	}
	return 0;
}

static int prepare(struct admin *a)
{
	const struct verb *v;
	int rc;

	a->noun = find_noun(a->rq->noun);
	if (!a->noun)
		return admin_fail(a, ERR_INVAL, "there is no noun '%s'", a->rq->noun);
	v = find_verb(a->noun, a->rq->verb);
	if (!v)
		return admin_fail(a, ERR_INVAL, "%s knows no '%s'", a->noun->name, a->rq->verb);
	a->verb = v;
	rc = check_fields(a, v);
	return rc ? rc : rights_check(a, v);
}

/* What the person in front of a form is told. */
static void explain(const struct admin *a, int rc, struct admin_reply *reply)
{
	const char *text = a->err[0] ? a->err : err_str(rc);

	switch (rc) {
	case ERR_NOT_FOUND: /* something that a value names is a wrong value */
		reply->class = a->field[0] ? ADMIN_INVALID : ADMIN_NOT_FOUND;
		break;
	case ERR_INVAL:
		reply->class = ADMIN_INVALID;
		break;
	case ERR_DENIED:
		reply->class = ADMIN_DENIED;
		break;
	case ERR_EXISTS:
	case ERR_STATE:
		reply->class = ADMIN_CONFLICT;
		break;
	case ERR_LIMIT:
		reply->class = ADMIN_LIMIT;
		break;
	default:
		reply->class = ADMIN_UNAVAILABLE;
		break;
	}
	snprintf(reply->field, sizeof(reply->field), "%s", a->field);
	if (a->field[0])
		text += strlen("--") + strlen(a->field) + strlen(": ");
	snprintf(reply->reason, sizeof(reply->reason), "%s", text);
	reply->reason[0] = (char)toupper((unsigned char)reply->reason[0]);
}

static const char *who(const struct principal *by)
{
	static const char *const names[] = { [PRINCIPAL_OPERATOR] = "operator", [PRINCIPAL_SYSTEM] = "portal",
					     [PRINCIPAL_SESSION] = "session",   [PRINCIPAL_API] = "API client",
					     [PRINCIPAL_SETUP] = "one-time link" };

	return by ? names[by->kind] : names[PRINCIPAL_OPERATOR];
}

static char *copy(const char *fmt, const char *text)
{
	char *out = NULL;

	return asprintf(&out, fmt, text) < 0 ? NULL : out;
}

#define PRINT_CELLS 4000u /* in a slice: half a millisecond */

/* What a request is on its way. */
struct going_on {
	struct admin a; /* first: struct admin_reply knows it as this */
	struct json_out json;
	FILE *table;
	char *text; /* of `table` */
	size_t n_text;
};

bool admin_is_slice_over(const struct admin *a)
{
	return a->rq->is_patient && a->portal->now() >= a->pause_at;
}

int admin_pause_after(struct admin *a, const void *entity)
{
	if (!admin_is_slice_over(a))
		return 0;
	a->after = ((const struct entity *)entity)->id;
	a->is_to_go_on = true;
	return ERR_AGAIN;
}

int admin_each(struct admin *a, enum kind k, const struct uuid *account, store_each each, void *ctx)
{
	int rc = store_list_after(a->portal->store, k, account, &a->after, each, ctx);

	if (rc == ERR_AGAIN)
		return 0;
	a->after = (struct uuid){ 0 };
	return rc ? admin_store_failed(a, rc) : 0;
}

u32 admin_resume(const struct admin *a, void *const *list, u32 n)
{
	u32 lo = 0, hi = n;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;
		if (uuid_cmp(&((const struct entity *)list[mid])->id, &a->after) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* 1: it is not done. */
static int slice(struct going_on *g)
{
	struct admin *a = &g->a;
	int rc = 0;

	a->now = a->portal->now();
	a->wall = a->portal->wall();
	a->pause_at = time_add(a->now, ADMIN_SLICE);
	if (!g->table) {
		a->is_to_go_on = false;
		rc = a->verb->run(a);
		if (rc)
			return rc;
		sheet_settle(&a->sheet, a->rq->is_json, &g->json);
		g->json.is_public |= a->is_to_go_on; /* what takes several turns is a list; tokens are shown one by one */
		if (a->is_to_go_on)
			return a->sheet.err ? a->sheet.err : 1;
		if (a->is_quiet && !a->rq->is_json)
			return 0;
		g->table = open_memstream(&g->text, &g->n_text);
		if (!g->table)
			return ERR_NOMEM;
	}
	rc = sheet_print(&a->sheet, a->rq->is_json, &g->json, g->table, a->rq->is_patient ? PRINT_CELLS : UINT32_MAX);
	return rc;
}

/* Takes over what was printed. */
static int take_text(struct going_on *g, struct admin_reply *reply)
{
	if (!g->table)
		return 0;
	int rc = fclose(g->table) ? ERR_NOMEM : 0;
	g->table = NULL;
	if (rc || !g->a.rq->is_json) {
		reply->out = rc ? NULL : g->text;
		reply->out_len = rc ? 0 : g->n_text;
		g->text = rc ? g->text : NULL;
		return rc;
	}
	reply->out = realloc(g->json.buf, g->json.len + 2);
	if (!reply->out)
		return ERR_NOMEM;
	memcpy(reply->out + g->json.len, "\n", 2);
	reply->out_len = g->json.len + 1;
	g->json = JSON_OUT;
	return 0;
}

static void forget(struct going_on *g)
{
	if (g->table)
		fclose(g->table);
	free(g->text);
	json_out_free(&g->json);
	sheet_free(&g->a.sheet);
	change_of_members_free(g->a.change);
	sodium_memzero(g->a.secret, sizeof(g->a.secret));
	free(g);
}

static void finish(struct going_on *g, int rc, struct admin_reply *reply)
{
	struct admin *a = &g->a;
	const struct admin_request *rq = a->rq;

	reply->rest = NULL;
	rc = rc ? rc : take_text(g, reply);
	if (rc) {
		reply->status = rc == ERR_INVAL ? 2 : 1;
		reply->err = copy("emberbox portal: %s\n", a->err[0] ? a->err : err_str(rc));
		explain(a, rc, reply);
	} else {
		reply->id = a->id;
		reply->members = change_of_members_result(a->change);
		snprintf(reply->secret, sizeof(reply->secret), "%s", a->secret);
		log_info("done", kv_s("noun", rq->noun), kv_s("verb", rq->verb), kv_s("by", who(rq->by)),
			 kv_s("actor", rq->by ? rq->by->actor_email : ""));
	}
	forget(g);
}

void admin_run(struct portal *p, const struct admin_request *rq, struct admin_reply *reply)
{
	struct going_on *g = calloc(1, sizeof(*g));

	memset(reply, 0, sizeof(*reply));
	if (!g) {
		*reply = (struct admin_reply){ .status = 1, .class = ADMIN_UNAVAILABLE };
		return;
	}
	g->a.portal = p;
	g->a.rq = rq;
	reply->rest = &g->a;
	int rc = prepare(&g->a);
	if (rc)
		finish(g, rc, reply);
	else
		admin_go_on(reply);
}

void admin_go_on(struct admin_reply *reply)
{
	struct going_on *g = (struct going_on *)reply->rest;
	int rc = slice(g);

	if (rc <= 0)
		finish(g, rc, reply);
}

u64 admin_next_turn(const struct admin_reply *reply, u64 now)
{
	return store_is_far_behind(reply->rest->portal->store) ? time_add(now, DISK_PAUSE) : now;
}

void admin_reply_free(struct admin_reply *reply)
{
	if (reply->rest)
		forget((struct going_on *)reply->rest);
	if (reply->out)
		memset(reply->out, 0, strlen(reply->out)); /* it may show a token */
	free(reply->out);
	free(reply->err);
	free(reply->members);
	sodium_memzero(reply, sizeof(*reply));
}
