/* Policies: which group may reach what, and when (spec 60 §1.12, §4.3, §9). */
#include "applets/portal/web/bulk.h"
#include "applets/portal/web/pages.h"
#include "applets/portal/web/templates.h"
#include "applets/portal/web/undo.h"
#include "applets/portal/web/views_sites.h"

#include "applets/portal/model/directory.h"
#include "applets/portal/model/rules.h"

#include <stdio.h>
#include <string.h>

/* ---- rows --------------------------------------------------------------------------------------------------------------------------- */

static u32 count_conditions(const char *text)
{
	struct condition c;
	u32 n = 0;

	while (condition_next(&text, &c))
		n++;
	return n;
}

struct policy_row policy_row(struct web *w, const struct policy *p)
{
	const struct directory *d = hub_directory(w->x->portal->hub);
	struct policy_row row = { .policy = p, .href = web_path(w, "/policies/%s", web_id(w, &p->e.id)), .conditions = count_conditions(p->conditions) };
	const struct group *g = uuid_is_null(&p->group_id) ? NULL : directory_get(d, KIND_GROUP, &w->account->e.id, &p->group_id);
	const struct resource *r = directory_get(d, KIND_RESOURCE, &w->account->e.id, &p->resource_id);

	if (g) {
		row.group = web_text(w, "%s", g->name);
		row.group_href = web_path(w, "/groups/%s", web_id(w, &g->e.id));
	}
	row.resource = r ? web_text(w, "%s", r->name) : "";
	row.resource_href = web_path(w, "/resources/%s", web_id(w, &p->resource_id));
	return row;
}

/* ---- the list ----------------------------------------------------------------------------------------------------------------------- */

void page_policies(struct exchange *x)
{
	static const struct column columns[] = { { .label = "Group" }, { .label = "Resource" }, { .label = "Status" }, { .label = "Conditions" }, { .label = "Changed", .sort = "updated_at" } };
	static const struct web_filter filters[] = { { "status", "status" }, { "site", "site_id" }, { "resource", "resource_id" }, { "group", "group_id" } };
	static struct choice states[] = { { .value = "active", .label = "active" }, { .value = "disabled", .label = "disabled" } };
	struct form_field fields[] = {
		{ .name = "q", .label = "Group or resource" },
		{ .name = "status", .label = "Status", .kind = INPUT_SELECT, FORM_CHOICES(states) },
		{ .name = "site", .label = "Site", .kind = INPUT_SELECT },
		{ .name = "resource", .label = "Resource", .kind = INPUT_HIDDEN },
		{ .name = "group", .label = "Group", .kind = INPUT_HIDDEN },
	};
	struct form f = { FORM_FIELDS(fields) };
	struct policies_view v = { .n = 0 };
	struct web_list l;
	struct web w;

	if (!web_begin(&w, x, SECTION_POLICIES))
		return;
	w.page.lead = "A policy lets the people of a group reach a resource. What no policy allows is not reachable.";
	w.page.action = "New policy";
	w.page.action_href = web_path(&w, "/policies/new");
	w.page.live_topics = "policies";
	web_list_begin(&w, &l, KIND_POLICY, "policies", web_path(&w, "/policies"), columns, ARRAY_LEN(columns), &f, filters, ARRAY_LEN(filters));
	if (web_pick(&w, &fields[2], KIND_SITE) && web_list_load(&w, &l)) {
		v.list = l.list;
		v.list.bulk = bulk_bar(&w, "policies", NULL);
		v.filters = &f;
		v.rows = exchange_alloc(x, (l.n + 1) * sizeof(*v.rows));
		for (u32 i = 0; v.rows && i < l.n; i++)
			v.rows[v.n++] = policy_row(&w, l.rows[i]);
		template_policies(&x->out, &w.page, &v);
		web_send(&w, 200);
	}
	web_end(&w);
}

/* ---- conditions as fields --------------------------------------------------------------------------------------------------------------
 * One field or two for each property; the text of the policy has one line for each that is filled. */

enum { F_GROUP, F_RESOURCE, F_DESCRIPTION, F_REGION_OP, F_REGION, F_IP_OP, F_IP, F_PROVIDER_OP, F_PROVIDER, F_VERIFIED, F_ZONE, F_DAYS, F_COUNT = F_DAYS + 7 };

static const char day_letters[] = "MTWRFSU"; /* spec 60 §1.12 */
static const char *const day_names[] = { "day-m", "day-t", "day-w", "day-r", "day-f", "day-s", "day-u" };
static const char *const day_labels[] = { "Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays" };

static int take_provider(void *ctx, enum kind k, const void *entity)
{
	struct web *w = ((void **)ctx)[0];
	struct form_field *f = ((void **)ctx)[1];
	const struct auth_provider *p = entity;

	(void)k;
	f->choices[f->n_choices++] = (struct choice){ .value = web_id(w, &p->e.id), .label = web_text(w, "%s", p->name) };
	return 0;
}

#define PROVIDERS_SHOWN 32u

static bool begin_form(struct web *w, struct form *f, struct form_field fields[static F_COUNT], const struct policy *p)
{
	static struct choice region_ops[] = { { .value = "is_in", .label = "only from these countries" }, { .value = "is_not_in", .label = "from anywhere but these" } };
	static struct choice ip_ops[] = { { .value = "is_in_cidr", .label = "only from these networks" }, { .value = "is_not_in_cidr", .label = "from anywhere but these" } };
	static struct choice provider_ops[] = { { .value = "is_in", .label = "only who signed in with" }, { .value = "is_not_in", .label = "nobody who signed in with" } };
	void *ctx[2] = { w, &fields[F_PROVIDER] };

	memset(fields, 0, F_COUNT * sizeof(*fields));
	fields[F_GROUP] = (struct form_field){ .name = "group", .label = "Group", .help = "Who. Everyone means all people, but no service account.", .value = p ? web_id(w, &p->group_id) : NULL };
	fields[F_RESOURCE] = (struct form_field){ .name = "resource", .label = "Resource", .help = "What they may reach.", .value = p ? web_id(w, &p->resource_id) : NULL };
	if (!web_pick(w, &fields[F_GROUP], KIND_GROUP) || !web_pick(w, &fields[F_RESOURCE], KIND_RESOURCE))
		return false;
	fields[F_DESCRIPTION] = (struct form_field){ .name = "description", .label = "Note", .help = "Why this is allowed, for the next admin.", .max = 1024 };
	fields[F_REGION_OP] = (struct form_field){ .name = "region-op", .label = "Country", .kind = INPUT_SELECT, FORM_CHOICES(region_ops), .is_more = true };
	fields[F_REGION] = (struct form_field){ .name = "region", .label = "Countries", .help = "Two-letter codes: DE AT CH. Where the country is not known, access is refused.", .is_more = true, .is_code = true };
	fields[F_IP_OP] = (struct form_field){ .name = "ip-op", .label = "Network", .kind = INPUT_SELECT, FORM_CHOICES(ip_ops), .is_more = true };
	fields[F_IP] = (struct form_field){ .name = "ip", .label = "Networks", .help = "Addresses or networks the client comes from: 198.51.100.0/24 2001:db8::/32.", .is_more = true, .is_code = true };
	fields[F_PROVIDER_OP] = (struct form_field){ .name = "provider-op", .label = "Sign-in", .kind = INPUT_SELECT, FORM_CHOICES(provider_ops), .is_more = true };
	fields[F_PROVIDER] = (struct form_field){ .name = "provider", .label = "Ways to sign in", .kind = INPUT_CHECKS, .is_more = true };
	fields[F_PROVIDER].choices = exchange_alloc(w->x, PROVIDERS_SHOWN * sizeof(struct choice));
	fields[F_VERIFIED] = (struct form_field){ .name = "verified", .label = "Only devices that an admin has verified", .kind = INPUT_CHECKBOX, .is_more = true };
	fields[F_ZONE] = (struct form_field){ .name = "zone", .label = "Time zone", .help = "Of the hours below: Europe/Berlin. No hours anywhere: at any time.", .is_more = true, .is_code = true };
	for (u32 i = 0; i < 7; i++)
		fields[F_DAYS + i] = (struct form_field){ .name = day_names[i], .label = day_labels[i], .placeholder = "9:00-12:00, 13:00-17:30", .help = i == 0 ? "Hours of access; the word all for the whole day." : NULL, .is_more = true, .is_code = true };
	f->fields = fields;
	f->n_fields = F_COUNT;
	if (!fields[F_PROVIDER].choices ||
	    store_select(w->x->portal->store, KIND_AUTH_PROVIDER, &w->account->e.id, NULL, 0, PROVIDERS_SHOWN, take_provider, ctx)) {
		web_store_failed(w);
		return false;
	}
	return true;
}

/* Words separated by blanks and commas, by one blank each. */
static const char *words_of(struct web *w, const char *text, bool upper)
{
	char *out = exchange_alloc(w->x, strlen(text) + 2);
	size_t n = 0;

	for (const char *p = text; out && *p; p++) {
		char c = *p;
		if (c == ',' || c == ';' || c == '\n' || c == '\r' || c == '\t')
			c = ' ';
		if (c == ' ' && (n == 0 || out[n - 1] == ' '))
			continue;
		out[n++] = upper && c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
	}
	while (out && n > 0 && out[n - 1] == ' ')
		out[--n] = '\0';
	return out ? out : "";
}

static const char *sent(struct web *w, const char *name)
{
	const char *value = exchange_form(w->x, name);

	return value ? value : "";
}

static void give_hours(struct web *w, struct action *a)
{
	const char *zone = words_of(w, sent(w, "zone"), false), *line = "";

	for (u32 i = 0; i < 7; i++) {
		const char *hours = words_of(w, sent(w, day_names[i]), false);
		char tight[256];
		size_t n = 0;

		if (!*hours)
			continue;
		for (const char *p = hours; *p && n + 1 < sizeof(tight); p++)
			if (*p != ' ' || (n > 0 && p[-1] != '-' && p[1] != '-'))
				tight[n++] = *p == ' ' ? ',' : *p;
		tight[n] = '\0';
		line = web_text(w, "%s %c/%s/%s", line, day_letters[i], strcasecmp(tight, "all") == 0 ? "true" : tight, *zone ? zone : "Etc/UTC");
	}
	if (*line)
		action_setf(a, "condition", "%s is_in_day_of_week_time_ranges%s", property_names[PROP_TIME], line);
}

static bool has_condition(const struct action *a)
{
	for (u32 i = 0; i < a->rq.n_fields; i++)
		if (strcmp(a->rq.field[i].name, "condition") == 0)
			return true;
	return false;
}

static void give_form(struct web *w, struct action *a, bool is_new)
{
	const char *regions = words_of(w, sent(w, "region"), true), *ips = words_of(w, sent(w, "ip"), false), *providers = "", *one;

	action_set(a, "group", exchange_form(w->x, "group"));
	action_set(a, "resource", exchange_form(w->x, "resource"));
	action_set(a, "description", exchange_form(w->x, "description"));
	for (u32 i = 0; (one = exchange_form_nth(w->x, "provider", i)); i++)
		providers = web_text(w, "%s %s", providers, one);
	if (*regions)
		action_setf(a, "condition", "%s %s %s", property_names[PROP_REGION], sent(w, "region-op"), regions);
	if (*ips)
		action_setf(a, "condition", "%s %s %s", property_names[PROP_REMOTE_IP], sent(w, "ip-op"), ips);
	if (*providers)
		action_setf(a, "condition", "%s %s%s", property_names[PROP_PROVIDER], sent(w, "provider-op"), providers);
	give_hours(w, a);
	if (exchange_form(w->x, "verified"))
		action_setf(a, "condition", "%s is true", property_names[PROP_VERIFIED]);
	if (!is_new && !has_condition(a))
		action_set(a, "no-conditions", "true");
}

/* The complaint about a condition goes to the field it came from. */
static u16 form_failed(struct form *f, struct action *a)
{
	static const struct {
		const char *word, *field;
	} places[] = { { "zone", "zone" }, { "countr", "region" }, { "region", "region" }, { "remote_ip", "ip" }, { "network", "ip" }, { "address", "ip" }, { "provider", "provider" }, { "day", "day-m" }, { "time", "day-m" } };

	if (strncmp(a->reply.field, "condition", 9) == 0 || strncasecmp(a->reply.reason, "condition", 9) == 0)
		for (size_t i = 0; i < ARRAY_LEN(places); i++)
			if (strstr(a->reply.reason, places[i].word)) {
				snprintf(a->reply.field, sizeof(a->reply.field), "%s", places[i].field);
				break;
			}
	return web_form_failed(f, a);
}

static const char *span_text(struct web *w, struct span s)
{
	return web_text(w, "%.*s", (int)s.n, (const char *)s.p);
}

static void fill_hours(struct web *w, struct form_field fields[static F_COUNT], struct span values)
{
	struct span word;

	while (word_next(&values, &word)) {
		const char *day = word.n > 0 ? strchr(day_letters, word.p[0]) : NULL;
		const u8 *first = memchr(word.p, '/', word.n), *second = first ? memchr(first + 1, '/', word.n - (size_t)(first + 1 - word.p)) : NULL;

		if (!day || !second)
			continue;
		const char *hours = span_text(w, SPAN(first + 1, second - first - 1));
		fields[F_DAYS + (day - day_letters)].value = strcmp(hours, "true") == 0 ? "all" : hours;
		fields[F_ZONE].value = span_text(w, SPAN(second + 1, word.n - (size_t)(second + 1 - word.p)));
	}
}

static void tick(struct web *w, struct form_field *f, struct span values)
{
	struct span word;

	while (word_next(&values, &word))
		for (u32 i = 0; i < f->n_choices; i++)
			f->choices[i].is_chosen |= strcmp(f->choices[i].value, span_text(w, word)) == 0;
}

static void fill_form(struct web *w, struct form *f, const struct policy *p)
{
	const char *at = p->conditions;
	struct condition c;

	form_set(f, "description", p->description);
	while (condition_next(&at, &c)) {
		switch (c.property) {
		case PROP_REGION:
			form_set(f, "region-op", c.is_negated ? "is_not_in" : "is_in");
			form_set(f, "region", span_text(w, c.values));
			break;
		case PROP_REMOTE_IP:
			form_set(f, "ip-op", c.is_negated ? "is_not_in_cidr" : "is_in_cidr");
			form_set(f, "ip", span_text(w, c.values));
			break;
		case PROP_PROVIDER:
			form_set(f, "provider-op", c.is_negated ? "is_not_in" : "is_in");
			tick(w, &f->fields[F_PROVIDER], c.values);
			break;
		case PROP_TIME:
			fill_hours(w, f->fields, c.values);
			break;
		case PROP_VERIFIED:
			form_set(f, "verified", "true");
			break;
		case PROP_COUNT:
			break;
		}
	}
}

const char *policy_name(struct web *w, const struct policy *p)
{
	struct policy_row row = policy_row(w, p);

	return web_text(w, "%s → %s", row.group ? row.group : "nobody", row.resource);
}

struct undo policy_undo(struct web *w, const struct policy *p, const char *href)
{
	bool is_deleted = !href;
	struct undo u = { .noun = "policy", .verb = is_deleted ? "add" : "update", .href = is_deleted ? web_path(w, "/policies") : href,
			  .said = is_deleted ? UNDO_MADE_AGAIN : "It is as it was before. Connections that ended begin anew.", .is_too_much = uuid_is_null(&p->group_id) };
	const char *at = p->conditions ? p->conditions : "";

	undo_set(&u, "group", web_id(w, &p->group_id));
	undo_set(&u, "resource", web_id(w, &p->resource_id));
	undo_set(&u, "description", p->description ? p->description : "");
	if (!is_deleted && !*at)
		undo_set(&u, "no-conditions", "true");
	if (is_deleted && p->disabled_at)
		undo_set(&u, "disabled", "true");
	for (size_t n; *at; at += n + (at[n] == '\n')) {
		n = strcspn(at, "\n");
		undo_set(&u, "condition", web_text(w, "%.*s", (int)n, at));
	}
	return u;
}

void page_policy_new(struct exchange *x)
{
	struct form_field fields[F_COUNT];
	struct form f = { .submit = "Create policy" };
	struct web w;

	if (!web_begin(&w, x, SECTION_POLICIES))
		return;
	if (begin_form(&w, &f, fields, NULL)) {
		f.action = web_path(&w, "/policies/new");
		f.cancel_href = web_path(&w, "/policies");
		page_crumb(&w.page, "Policies", f.cancel_href);
		w.page.title = "New policy";
		w.page.lead = "Who may reach what; conditions are under More.";
		web_edit(&w, &(struct web_edit){ .kind = KIND_POLICY, .noun = "policy", .form = &f, .done = "The policy holds from now on.",
						 .href = web_path(&w, "/policies/"), .give = give_form, .failed = form_failed });
	}
	web_end(&w);
}

void page_policy_edit(struct exchange *x)
{
	struct form_field fields[F_COUNT];
	struct form f = { .submit = "Save policy" };
	const struct policy *p;
	struct web w;

	if (!web_begin(&w, x, SECTION_POLICIES))
		return;
	p = web_get(&w, KIND_POLICY, 1);
	if (p && begin_form(&w, &f, fields, p)) {
		f.cancel_href = web_path(&w, "/policies/%s", web_id(&w, &p->e.id));
		f.action = web_text(&w, "%s/edit", f.cancel_href);
		f.updated_at = p->e.updated_at;
		fill_form(&w, &f, p);
		page_crumb(&w.page, "Policies", web_path(&w, "/policies"));
		page_crumb(&w.page, policy_name(&w, p), f.cancel_href);
		w.page.title = "Change policy";
		w.page.lead = "What no longer holds ends at once.";
		struct undo undo = policy_undo(&w, p, f.cancel_href);
		web_edit(&w, &(struct web_edit){ .kind = KIND_POLICY, .noun = "policy", .id = &p->e.id, .form = &f, .done = "The policy is changed.",
						 .href = f.cancel_href, .give = give_form, .failed = form_failed, .undo = &undo });
	}
	web_end(&w);
}

/* ---- one policy --------------------------------------------------------------------------------------------------------------------- */

static const char *provider_names(struct web *w, struct span values)
{
	const char *out = "";
	struct span word;
	struct uuid id;

	while (word_next(&values, &word)) {
		const struct auth_provider *p = uuid_parse(word, &id) == 0 ? web_find(w, KIND_AUTH_PROVIDER, &id) : NULL;
		out = web_text(w, "%s%s%s", out, *out ? ", " : "", p ? p->name : "one that is gone");
	}
	return out;
}

static const char *in_words(struct web *w, const struct condition *c)
{
	const char *values = span_text(w, c->values);

	switch (c->property) {
	case PROP_REGION:
		return web_text(w, "%s %s", c->is_negated ? "From anywhere but" : "Only from", values);
	case PROP_REMOTE_IP:
		return web_text(w, "%s %s", c->is_negated ? "From any network but" : "Only from the networks", values);
	case PROP_PROVIDER:
		return web_text(w, "%s %s", c->is_negated ? "Nobody who signed in with" : "Only who signed in with", provider_names(w, c->values));
	case PROP_TIME:
		return web_text(w, "At these hours: %s", values);
	case PROP_VERIFIED:
		return "Only verified devices";
	case PROP_COUNT:
		break;
	}
	return "";
}

void page_policy(struct exchange *x)
{
	const char *conditions[PROP_COUNT + 1], *at;
	struct policy_view v = { .conditions = conditions };
	struct connections connections;
	struct condition c;
	struct web w;

	if (!web_begin(&w, x, SECTION_POLICIES))
		return;
	v.policy = web_get(&w, KIND_POLICY, 1);
	if (v.policy && connections_of(&w, KIND_POLICY, &v.policy->e.id, &connections)) {
		v.row = policy_row(&w, v.policy);
		v.connections = &connections;
		v.enable_href = web_text(&w, "%s/enable", v.row.href);
		v.disable_href = web_text(&w, "%s/disable", v.row.href);
		v.delete_href = web_text(&w, "%s/delete", v.row.href);
		at = v.policy->conditions;
		while (v.n_conditions <= PROP_COUNT && condition_next(&at, &c))
			conditions[v.n_conditions++] = in_words(&w, &c);
		page_crumb(&w.page, "Policies", web_path(&w, "/policies"));
		w.page.title = policy_name(&w, v.policy);
		w.page.action = "Edit";
		w.page.action_href = web_path(&w, "/policies/%s/edit", web_id(&w, &v.policy->e.id));
		template_policy(&x->out, &w.page, &v);
		web_send(&w, 200);
	}
	web_end(&w);
}

#define POLICY_BUTTON .section = SECTION_POLICIES, .kind = KIND_POLICY, .param = 1, .noun = "policy", .list = "/policies"

void page_policy_enable(struct exchange *x)
{
	web_button(x, &(struct web_button){ POLICY_BUTTON, .verb = "enable", .done = "The policy holds again." });
}

void page_policy_disable(struct exchange *x)
{
	web_button(x, &(struct web_button){ POLICY_BUTTON, .verb = "disable", .done = "The policy is disabled: whoever has no other way lost access just now." });
}

void page_policy_delete(struct exchange *x)
{
	const struct policy *p;
	struct web w;

	if (!web_begin(&w, x, SECTION_POLICIES))
		return;
	p = web_get(&w, KIND_POLICY, 1);
	if (p) {
		struct undo undo = policy_undo(&w, p, NULL);
		web_delete(&w, &(struct web_deletion){ .kind = KIND_POLICY,
						       .id = &p->e.id,
						       .name = policy_name(&w, p),
						       .href = web_path(&w, "/policies/%s", web_id(&w, &p->e.id)),
						       .list_href = undo.href,
						       .list_label = "Policies",
						       .undo = &undo });
	}
	web_end(&w);
}
